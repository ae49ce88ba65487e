//! Former names of the code, and the names to use instead.
//!
//! Each of these words meant several things, or something that already had a name. They are refused as identifiers only:
//! comments and strings may use them.

use super::file::{Problem, SourceFile};
use crate::rust_source::{code_only, identifiers, line_of};

/// Where a word is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// In all Rust code.
    Everywhere,
    /// In `src` of all crates. Tests, examples and tools may use the word in its usual meaning.
    Crates,
    /// In `src` of this crate.
    Crate(&'static str),
}

use Scope::{Crate, Crates, Everywhere};

/// Each word, where it is refused, and what to write instead.
#[rustfmt::skip]
const WORDS: &[(&str, Scope, &str)] = &[
    ("Place",          Crates,     "`SlabKey`, `WaitGuard`, `Waiter` or `Permit`"),
    ("Places",         Crates,     "`SlabKey`, `WaitGuard`, `Waiter` or `Permit`"),
    ("Fan",            Crates,     "`WakerSet`"),

    ("Orders",         Crates,     "`Signals`"),
    ("obey",           Crates,     "`handle_signals`"),
    ("LEAVE",          Crates,     "`DRAIN`"),
    ("CUT",            Crates,     "`ABORT`"),
    ("MAKE_WAY",       Everywhere, "`EVICT`"),
    ("NEWS",           Crates,     "`RESCHEDULED`"),
    ("ASKED",          Crates,     "`NOTICE_WANTED`"),
    ("TOLD",           Crates,     "`NOTIFIED`"),

    ("Journal",        Crates,     "`telemetry`"),
    ("journal",        Crates,     "`telemetry`"),
    ("metering",       Everywhere, "`metrics`"),
    ("observing",      Everywhere, "`telemetry`, or `record` and a noun"),
    ("noting",         Everywhere, "`stats`, or `record` and a noun"),

    ("Clock",          Crates,     "`Timer`"),
    ("Moment",         Crates,     "`CoarseInstant`"),
    ("strike",         Crates,     "`fire`"),
    ("Timekeeper",     Everywhere, "`ConnectionTimer`"),
    ("Facts",          Crates,     "`Snapshot`"),
    ("Agenda",         Crates,     "`NextCheck`"),
    ("luck",           Crates,     "`jitter`"),
    ("heard",          Crates,     "`last_received`"),

    ("has_room",       Crates,     "`has_capacity`"),
    ("poll_room",      Everywhere, "`poll_capacity`"),
    ("Manner",         Crates,     "`WaiterKind`"),
    ("Insisting",      Everywhere, "`WaiterKind::Future`"),
    ("Asking",         Crates,     "`WaiterKind::Sink`"),
    ("Taken",          Crates,     "`Progress`"),
    ("on_its_way",     Everywhere, "`unacked`"),
    ("Due",            Crates,     "`Wakeups`"),
    ("is_due",         Crates,     "`has_wakeups`; of a time, `is_reached`"),

    ("Lent",           Everywhere, "`Pooled` or `BorrowedMessage`"),
    ("lend",           Everywhere, "`enable_reuse`"),
    ("go_on",          Crates,     "`resume_frame`"),
    ("goes_on",        Crates,     "`begin_poll`"),
    ("Starved",        Everywhere, "`NeedInput`"),
    ("coming",         Crates,     "`remaining`"),
    ("settle",         Crates,     "`unmask_in_place`, or what is waited for"),
    ("barren",         Everywhere, "`unproductive`"),
    ("FERTILE",        Everywhere, "`MIN_YIELD_DIVISOR`"),
    ("BARREN",         Everywhere, "`MAX_UNPRODUCTIVE`"),

    ("Agreement",      Crates,     "`NegotiatedExtensions`"),
    ("Agreed",         Crates,     "`Accepted`"),
    ("goodbye",        Crates,     "`grace_period`"),
    ("fattest",        Everywhere, "`largest`"),
    ("is_expected",    Crates,     "`take_expected_pong`"),
    ("is_others_turn", Everywhere, "`poll_coop`"),
    ("turn",           Crate("sockeye-tokio"), "`epoch`, `poll_coop`, `close_at` or `BATCH`"),
];

pub(super) fn check(file: &SourceFile, problems: &mut Vec<Problem>) {
    let code = code_only(&file.text);
    for (at, word) in identifiers(&code) {
        let Some((_, scope, instead)) = WORDS.iter().find(|(refused, ..)| *refused == word) else { continue };
        if scope.includes(&file.path) {
            let what = format!("`{word}` is a former name; write {instead}");
            problems.push(Problem::new(&file.path, line_of(&file.text, at), what));
        }
    }
}

impl Scope {
    fn includes(self, path: &str) -> bool {
        let source = path.strip_prefix("crates/").and_then(|path| path.split_once("/src/"));
        match (self, source) {
            (Everywhere, _) | (Crates, Some(_)) => true,
            (Crate(name), Some((folder, _))) => folder == name,
            (Crates | Crate(_), None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKIO: &str = "crates/sockeye-tokio/src/a.rs";

    fn problems(path: &str, text: &str) -> Vec<(usize, String)> {
        let mut problems = Vec::new();
        check(&SourceFile { path: path.to_owned(), text: text.to_owned() }, &mut problems);
        problems.into_iter().map(|problem| (problem.line, problem.what)).collect()
    }

    #[test]
    fn a_former_name_is_refused_with_the_one_to_write() {
        let found = problems(TOKIO, "mod metering;\nstruct Fan { on_its_way: u64 }\n");
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 2]);
        assert_eq!(found[1].1, "`Fan` is a former name; write `WakerSet`");
    }

    #[test]
    fn parts_of_words_comments_strings_and_lifetimes_are_fine() {
        let text = "//! It is our turn.\nfn return_turn<'turn>(turned: &'turn str) { say(\"turn\") } // turn\n";
        assert_eq!(problems(TOKIO, text), []);
    }

    #[test]
    fn a_word_with_a_plain_meaning_is_refused_where_it_had_another() {
        let turn = "let turn = 1;\n";
        assert_eq!(problems(TOKIO, turn).len(), 1);
        for path in ["crates/sockeye-proto/src/a.rs", "crates/sockeye-tokio/tests/a.rs", "slow-peers/src/pace.rs"] {
            assert_eq!(problems(path, turn), [], "{path}");
        }
        assert_eq!(problems("crates/sockeye-proto/src/a.rs", "let coming = 1;\n").len(), 1);
        assert_eq!(problems("soak/src/a.rs", "let coming = 1;\n"), []);
        assert_eq!(problems("soak/src/a.rs", "let barren = 1;\n").len(), 1);
    }

    #[test]
    fn each_word_is_in_the_table_once_and_no_word_leads_to_another() {
        for (index, (word, _, instead)) in WORDS.iter().enumerate() {
            assert!(WORDS[..index].iter().all(|(other, ..)| other != word), "{word} is there twice");
            let written: Vec<&str> = instead.split('`').skip(1).step_by(2).collect();
            assert!(!written.is_empty(), "{word}: nothing to write instead");
            for name in written {
                assert!(WORDS.iter().all(|(other, ..)| *other != name), "{word} leads to {name}, which is refused");
            }
        }
    }
}
