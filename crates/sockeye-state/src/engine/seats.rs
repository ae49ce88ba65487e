//! `Seats`: who is in a room, in an order that a drain can follow while members join and leave.

use std::{mem, ops::Range};

use hashbrown::HashTable;

/// The number of a member on this node. A key is used again after its member has left all rooms.
pub(crate) type Key = u32;

/// The number of a place in a room. Places are counted from 0, in the order in which members joined.
pub(crate) type SeatIndex = u32;

/// From this many members on, a table finds the place of a member. Up to there, the keys fill one cache line, and looking at all
/// of them is faster.
const INDEXED: usize = 17;

/// With this many members or fewer, the table is dropped. Fewer than [`INDEXED`], so that a member who comes and goes does not
/// make and drop the table each time.
const NOT_INDEXED: usize = 8;

/// The key of a dead place. No member has it.
const NOBODY: Key = Key::MAX;

/// The members of a room. Two vectors and not one of pairs, since a pair of a seat and a key would take 16 bytes instead of 12.
pub(crate) struct Seats<S> {
    /// `None` is a dead place: its member has left since the last [`compact`](Self::compact).
    seats: Vec<Option<S>>,
    /// The key of the member at each place; [`NOBODY`] at a dead one.
    keys: Vec<Key>,
    /// The places of all members, by their keys. Present from [`INDEXED`] members on.
    places: Option<Box<HashTable<SeatIndex>>>,
    /// The dead places, in no order.
    dead: Vec<SeatIndex>,
}

impl<S> Seats<S> {
    /// How many members there are.
    pub(crate) fn len(&self) -> usize {
        self.seats.len() - self.dead.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first place that nobody has had since the last [`compact`](Self::compact). Members that join later get this place or
    /// a later one.
    pub(crate) fn end(&self) -> SeatIndex {
        self.seats.len() as SeatIndex
    }

    pub(crate) fn contains(&self, key: Key) -> bool {
        self.place(key).is_some()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        self.keys.iter().copied().filter(|key| *key != NOBODY)
    }

    /// The members at the places of `range`, with their keys and places.
    pub(crate) fn range(&self, range: Range<SeatIndex>) -> impl Iterator<Item = (&S, Key, SeatIndex)> {
        let keys = &self.keys[range.start as usize..range.end as usize];
        let seats = &self.seats[range.start as usize..range.end as usize];
        let places = range.start..;
        seats.iter().zip(keys).zip(places).filter_map(|((seat, key), place)| Some((seat.as_ref()?, *key, place)))
    }

    /// Gives `seat` the last place. Returns the seat back if the member is in the room already.
    pub(crate) fn add(&mut self, key: Key, seat: S) -> Result<(), S> {
        if self.contains(key) {
            return Err(seat);
        }
        let place = self.end();
        self.seats.push(Some(seat));
        self.keys.push(key);
        if self.places.is_none() && self.len() >= INDEXED {
            self.index();
        } else if let Some(places) = &mut self.places {
            let keys = &self.keys;
            places.insert_unique(hash(key), place, |place| hash(keys[*place as usize]));
        }
        Ok(())
    }

    /// Takes the seat of a member, and leaves a dead place. The caller drops the seat after the release of the lock.
    pub(crate) fn take(&mut self, key: Key) -> Option<S> {
        let place = self.place(key)?;
        if let Some(places) = &mut self.places {
            if let Ok(entry) = places.find_entry(hash(key), |other| *other == place) {
                entry.remove();
            }
        }
        self.keys[place as usize] = NOBODY;
        self.dead.push(place);
        self.seats[place as usize].take()
    }

    /// Whether a quarter of all places is dead.
    pub(crate) fn is_sparse(&self) -> bool {
        self.dead.len() * 4 > self.seats.len()
    }

    pub(crate) fn has_dead(&self) -> bool {
        !self.dead.is_empty()
    }

    /// Removes the dead places. No member moves across one of the `marks`, which move with the members before them. Between two
    /// marks, members may change their order.
    ///
    /// The cost grows with the number of dead places and of marks, not with the room.
    pub(crate) fn compact<'a>(&mut self, marks: impl Iterator<Item = &'a mut SeatIndex>) {
        let mut dead = mem::take(&mut self.dead);
        dead.sort_unstable();
        let mut borders: Vec<SeatIndex> = Vec::new();
        for mark in marks {
            borders.push(*mark);
            *mark -= dead.partition_point(|place| *place < *mark) as SeatIndex;
        }
        borders.push(self.end());
        borders.sort_unstable();
        borders.dedup();

        let (mut start, mut holes) = (0, 0);
        let mut rest = &dead[..];
        for end in borders {
            let own = rest.partition_point(|place| *place < end);
            self.close_up(start..end, &rest[..own], holes);
            rest = &rest[own..];
            holes += own as SeatIndex;
            start = end;
        }
        let len = (self.end() - holes) as usize;
        self.seats.truncate(len);
        self.keys.truncate(len);
        self.shrink();
    }

    /// Moves the members of `segment` so that they fill the places from `holes` before its start on. `dead` are the dead places
    /// of the segment. The `holes` places before the segment are free.
    fn close_up(&mut self, segment: Range<SeatIndex>, dead: &[SeatIndex], holes: SeatIndex) {
        let first = segment.start - holes;
        let end = first + (segment.end - segment.start - dead.len() as SeatIndex);
        let free = (first..segment.start.min(end)).chain(dead.iter().copied().filter(|place| *place < end));
        let mut from = segment.start.max(end);
        for to in free {
            while self.seats[from as usize].is_none() {
                from += 1;
            }
            self.relocate(from, to);
            from += 1;
        }
    }

    fn relocate(&mut self, from: SeatIndex, to: SeatIndex) {
        let key = mem::replace(&mut self.keys[from as usize], NOBODY);
        self.keys[to as usize] = key;
        self.seats.swap(from as usize, to as usize);
        if let Some(place) = self.places.as_mut().and_then(|places| places.find_mut(hash(key), |place| *place == from))
        {
            *place = to;
        }
    }

    /// Frees memory that a much larger room needed.
    fn shrink(&mut self) {
        if self.len() <= NOT_INDEXED {
            self.places = None;
        }
        if self.seats.capacity() > 64 && self.len() < self.seats.capacity() / 4 {
            self.seats.shrink_to(self.len() * 2);
            self.keys.shrink_to(self.len() * 2);
            if self.places.is_some() {
                self.index();
            }
        }
    }

    fn place(&self, key: Key) -> Option<SeatIndex> {
        match &self.places {
            Some(places) => places.find(hash(key), |place| self.keys[*place as usize] == key).copied(),
            None => self.keys.iter().position(|other| *other == key).map(|place| place as SeatIndex),
        }
    }

    fn index(&mut self) {
        let mut places = HashTable::with_capacity(self.len());
        for (key, place) in self.keys.iter().zip(0..).filter(|(key, _)| **key != NOBODY) {
            places.insert_unique(hash(*key), place, |place: &SeatIndex| hash(self.keys[*place as usize]));
        }
        self.places = Some(Box::new(places));
    }
}

impl<S> Default for Seats<S> {
    fn default() -> Self {
        Self { seats: Vec::new(), keys: Vec::new(), places: None, dead: Vec::new() }
    }
}

/// Spreads keys over the bits that the table looks at. The hub chooses the keys, so nobody can make them collide.
fn hash(key: Key) -> u64 {
    let product = u64::from(key).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    product ^ (product >> 32)
}

#[cfg(all(test, not(sockeye_loom)))]
mod tests;
