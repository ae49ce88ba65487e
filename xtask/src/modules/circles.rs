//! Circles of arrows, and a small set of arrows whose removal leaves no circle.

use std::collections::{BTreeSet, VecDeque};

/// `(0, 1)`: file 0 uses file 1.
pub(super) type Arrow = (usize, usize);

/// The circles: the largest sets of more than one file in which each file leads to each other one. Sorted.
pub(super) fn circles(files: usize, arrows: &BTreeSet<Arrow>) -> Vec<Vec<usize>> {
    let reached: Vec<BTreeSet<usize>> = (0..files).map(|file| reachable(file, arrows)).collect();
    let mut found: BTreeSet<Vec<usize>> = BTreeSet::new();
    for file in 0..files {
        let circle = reached[file].iter().copied().filter(|&other| reached[other].contains(&file));
        let circle: Vec<usize> = circle.collect();
        if circle.len() > 1 {
            found.insert(circle);
        }
    }
    found.into_iter().collect()
}

/// The arrows of one circle that run back up, as the module `modules` defines it.
pub(super) fn back_up(circle: &[usize], arrows: &BTreeSet<Arrow>) -> BTreeSet<Arrow> {
    let inside = within(circle, arrows);
    let mut order = first_order(circle, &inside);
    improve(&mut order, &inside);

    let backward = |&(from, to): &Arrow| rank(&order, from) > rank(&order, to);
    let (candidates, mut kept): (BTreeSet<Arrow>, BTreeSet<Arrow>) = inside.iter().partition(|arrow| backward(arrow));
    let mut back = BTreeSet::new();
    for (from, to) in candidates {
        if reachable(to, &kept).contains(&from) {
            back.insert((from, to));
        } else {
            kept.insert((from, to));
        }
    }
    back
}

/// The arrows with both ends in the circle.
pub(super) fn within(circle: &[usize], arrows: &BTreeSet<Arrow>) -> BTreeSet<Arrow> {
    arrows.iter().copied().filter(|(from, to)| circle.contains(from) && circle.contains(to)).collect()
}

/// The files that `file` leads to, over any number of arrows. The file itself is among them only if it is in a circle.
fn reachable(file: usize, arrows: &BTreeSet<Arrow>) -> BTreeSet<usize> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![file];
    while let Some(from) = waiting.pop() {
        for &(_, to) in arrows.range((from, 0)..=(from, usize::MAX)) {
            if reached.insert(to) {
                waiting.push(to);
            }
        }
    }
    reached
}

/// An order in which few arrows run from a later file to an earlier one, by the heuristic of Eades, Lin and Smyth: a file that
/// no other file uses comes first, and a file that uses no other file comes last. If there is neither, the next file is the one
/// with the most arrows out, minus the arrows in.
fn first_order(circle: &[usize], arrows: &BTreeSet<Arrow>) -> Vec<usize> {
    let mut left: BTreeSet<usize> = circle.iter().copied().collect();
    let (mut front, mut back) = (Vec::new(), VecDeque::new());
    while !left.is_empty() {
        let uses = |file: usize| arrows.iter().filter(|(from, to)| *from == file && left.contains(to)).count();
        let used = |file: usize| arrows.iter().filter(|(from, to)| *to == file && left.contains(from)).count();
        if let Some(&last) = left.iter().find(|&&file| uses(file) == 0) {
            back.push_front(last);
            left.remove(&last);
            continue;
        }
        let key = |&&file: &&usize| (used(file) != 0, used(file) as isize - uses(file) as isize, file);
        if let Some(&next) = left.iter().min_by_key(key) {
            front.push(next);
            left.remove(&next);
        }
    }
    front.extend(back);
    front
}

/// Moves one file after the other to the position where the fewest arrows run back, until no move helps.
fn improve(order: &mut Vec<usize>, arrows: &BTreeSet<Arrow>) {
    let mut is_better = true;
    while is_better {
        is_better = false;
        let mut files = order.clone();
        files.sort_unstable();
        for file in files {
            let before = rank(order, file);
            order.remove(before);
            // For each position, how many of the file's own arrows would run back.
            let cost = |place: usize| {
                let is_back = |&&(from, to): &&Arrow| {
                    (from == file && rank(order, to) < place) || (to == file && rank(order, from) >= place)
                };
                arrows.iter().filter(is_back).count()
            };
            let best = (0..=order.len()).min_by_key(|&place| (cost(place), place != before, place)).unwrap_or(before);
            is_better |= cost(best) < cost(before);
            order.insert(best, file);
        }
    }
}

fn rank(order: &[usize], file: usize) -> usize {
    order.iter().position(|&other| other == file).unwrap_or(order.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(arrows: &[Arrow]) -> BTreeSet<Arrow> {
        arrows.iter().copied().collect()
    }

    #[test]
    fn layers_are_no_circle() {
        assert!(circles(4, &set(&[(0, 1), (0, 2), (1, 3), (2, 3)])).is_empty());
    }

    #[test]
    fn each_circle_is_found_with_all_its_files() {
        let arrows = set(&[(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 3), (4, 5)]);
        assert_eq!(circles(6, &arrows), [vec![0, 1, 2], vec![3, 4]]);
    }

    #[test]
    fn a_file_that_uses_itself_is_no_circle() {
        assert!(circles(1, &set(&[(0, 0)])).is_empty());
    }

    #[test]
    fn one_arrow_of_a_ring_runs_back_up() {
        let ring = set(&[(0, 1), (1, 2), (2, 3), (3, 0)]);
        assert_eq!(back_up(&[0, 1, 2, 3], &ring).len(), 1);
    }

    #[test]
    fn what_the_lowest_file_uses_above_it_runs_back_up() {
        // 3 is used by everybody and uses 0 once: one arrow closes all circles.
        let arrows = set(&[(0, 1), (0, 2), (0, 3), (1, 3), (2, 3), (3, 0)]);
        assert_eq!(back_up(&[0, 1, 2, 3], &arrows), set(&[(3, 0)]));
    }

    #[test]
    fn without_what_runs_back_up_there_is_no_circle() {
        // Everybody uses everybody: 10 of the 20 arrows must go.
        let all: BTreeSet<Arrow> = (0..5).flat_map(|from| (0..5).map(move |to| (from, to))).collect();
        let all: BTreeSet<Arrow> = all.into_iter().filter(|(from, to)| from != to).collect();
        let back = back_up(&[0, 1, 2, 3, 4], &all);
        assert_eq!(back.len(), 10);
        assert!(circles(5, &all.difference(&back).copied().collect()).is_empty());
    }
}
