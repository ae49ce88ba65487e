//! The checks find what is wrong: each fault of a broker, and the check that names it.

mod faulty;

use std::{panic::AssertUnwindSafe, sync::Arc};

use faulty::{Fault, Faulty};
use sockeye_broker_test::{CHECKS, Outcome, run_all};
use tokio::task::JoinError;

/// Each fault, and the check that finds it.
const FOUND_BY: &[(Fault, &str)] = &[
    (Fault::ArrivesTwice, "a_published_message_reaches_each_subscribed_node_once"),
    (Fault::NotToItself, "a_published_message_reaches_each_subscribed_node_once"),
    (Fault::LosesSome, "messages_of_one_node_arrive_in_its_order"),
    (Fault::LosesSome, "messages_of_several_nodes_all_arrive"),
    (Fault::Swaps, "messages_of_one_node_arrive_in_its_order"),
    (Fault::Swaps, "appended_messages_arrive_with_their_positions"),
    (Fault::KeepsPublished, "a_published_message_is_in_no_history"),
    (Fault::SubscribesToMore, "nothing_of_other_topics_arrives"),
    (Fault::SubscribesToFirst, "a_node_can_subscribe_to_many_topics_at_once"),
    (Fault::StaysSubscribed, "nothing_arrives_after_unsubscribe"),
    (Fault::StaysSubscribed, "a_node_that_subscribes_twice_gets_messages_once"),
    (Fault::CutsPayloads, "any_payload_arrives"),
    (Fault::CutsPayloads, "any_payload_is_kept"),
    (Fault::NamesNoneBefore, "each_message_names_the_one_before_it"),
    (Fault::NamesNoneBefore, "concurrent_appends_have_one_order_on_all_nodes"),
    (Fault::OneHistory, "each_topic_has_a_history_of_its_own"),
    (Fault::SortsTops, "tops_are_in_the_order_of_the_topics"),
    (Fault::IgnoresStamps, "a_repeat_is_answered_with_the_first_position"),
    (Fault::IgnoresStamps, "a_repeat_by_another_node_is_a_repeat"),
    (Fault::IgnoresStamps, "concurrent_repeats_append_once"),
    (Fault::ForgetsStamps, "a_repeat_is_known_after_later_appends"),
    (Fault::ForgetsStamps, "a_thousand_and_twenty_four_stamps_are_remembered"),
    (Fault::ForgetsStamps, "a_repeat_is_known_when_the_message_is_trimmed"),
    (Fault::StampsOfAllTopics, "the_same_stamp_in_another_topic_is_no_repeat"),
    (Fault::SaysLast, "pages_of_any_size_are_the_whole_history"),
    (Fault::OldestFirst, "the_newest_messages_are_read_without_a_position"),
    (Fault::SaysContiguous, "a_topic_without_a_history_has_no_position"),
    (Fault::SaysContiguous, "a_position_of_another_epoch_is_not_contiguous"),
    (Fault::SaysContiguous, "a_position_above_the_top_is_not_contiguous"),
    (Fault::SaysContiguous, "a_page_is_contiguous_if_nothing_between_was_trimmed"),
    (Fault::KeepsAll, "the_last_messages_are_kept"),
    (Fault::KeepsAll, "the_last_append_says_how_much_is_kept"),
    (Fault::KeepsOne, "the_last_messages_are_kept"),
    (Fault::KeepsForever, "a_history_that_has_expired_begins_a_new_epoch"),
    (Fault::KeepsForever, "a_repeat_is_known_when_the_history_has_expired"),
    (Fault::KeepsTwoSeconds, "a_history_lives_until_its_age_after_the_last_append"),
    (Fault::IgnoresKnown, "a_known_position_above_the_top_begins_a_new_epoch"),
    (Fault::AlwaysForks, "other_known_positions_change_nothing"),
    (Fault::IgnoresCase, "names_are_kept_apart"),
    (Fault::IgnoresKinds, "namespaces_and_kinds_are_kept_apart"),
    (Fault::HasWildcards, "a_wildcard_in_a_name_is_a_character"),
    (Fault::BreaksWhenDropped, "dropped_futures_leave_the_broker_usable"),
    (Fault::BreaksWhenDropped, "dropped_appends_are_appended_once_or_not_at_all"),
    (Fault::StartsAgain, "a_broker_is_started_once"),
    (Fault::IsUnwell, "a_started_broker_is_well"),
    (Fault::NeverStops, "nothing_arrives_after_stop"),
    (Fault::NeverStops, "after_stop_all_calls_are_refused"),
    (Fault::ForgetsStopped, "what_a_stopped_node_has_appended_stays"),
];

/// Runs the check with this name.
async fn run(name: &str, fault: Fault) -> Result<(), JoinError> {
    let check = CHECKS.iter().find(|check| check.name() == name).expect(name);
    tokio::spawn(check.run(Arc::new(Faulty::new(fault)))).await
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_found() {
    for (fault, check) in FOUND_BY {
        let found = run(check, *fault).await.expect_err(&format!("{check} must find the fault {fault:?}"));
        assert!(found.is_panic(), "{fault:?}: {found}");
        run(check, Fault::None).await.expect("without the fault, the check passes");
    }
}

#[tokio::test(start_paused = true)]
async fn a_future_that_is_never_ready_is_a_failure_and_the_other_checks_go_on() {
    let report = run_all(Arc::new(Faulty::new(Fault::NeverReads))).await;
    assert!(!report.is_success());
    let outcome = |name: &str| &report.outcomes().iter().find(|(check, _)| *check == name).expect(name).1;
    let failed = outcome("the_newest_messages_are_read_without_a_position");
    assert!(matches!(failed, Outcome::Failed(why) if why.contains("never ready")), "{failed}");
    assert_eq!(*outcome("messages_of_one_node_arrive_in_its_order"), Outcome::Passed);

    let text = report.to_string();
    assert!(text.contains("messages_of_one_node_arrive_in_its_order: passed"), "{text}");
    assert!(text.contains("a_repeat_is_known_after_almost_five_minutes: skipped, since it lets 295 s pass"), "{text}");
    std::panic::catch_unwind(AssertUnwindSafe(|| report.assert())).expect_err("a report with failures");
}
