//! The list of all checks.

use std::{fmt, hash::RandomState, sync::Arc, time::Duration};

use std::hash::{BuildHasher as _, Hasher as _};

use sockeye_state::{BoxFuture, Topic};

use crate::{
    checks::{appends, ending, forks, messages, names, pages, retention, retries},
    node::Node,
    system::System,
};

/// One thing that is promised of a broker. From [`CHECKS`].
pub struct Check {
    name: &'static str,
    time: Duration,
    run: fn(Setup) -> BoxFuture<'static, ()>,
}

/// What a check works with.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) system: Arc<dyn System>,
    pub(crate) namespace: Arc<str>,
}

/// A check that lets `time` pass, in seconds.
macro_rules! check {
    ($module:ident :: $name:ident) => {
        check!($module::$name, 0)
    };
    ($module:ident :: $name:ident, $time:literal) => {
        Check {
            name: stringify!($name),
            time: Duration::from_secs($time),
            run: |setup| Box::pin($module::$name(setup)),
        }
    };
}

/// All checks.
pub const CHECKS: &[Check] = &[
    check!(messages::a_published_message_reaches_each_subscribed_node_once),
    check!(messages::messages_of_one_node_arrive_in_its_order),
    check!(messages::messages_of_several_nodes_all_arrive),
    check!(messages::a_published_message_is_in_no_history),
    check!(messages::nothing_of_other_topics_arrives),
    check!(messages::a_node_that_subscribes_twice_gets_messages_once),
    check!(messages::nothing_arrives_after_unsubscribe),
    check!(messages::a_node_can_subscribe_to_many_topics_at_once),
    check!(messages::a_node_without_messages_can_publish_and_append),
    check!(messages::any_payload_arrives),
    check!(appends::appended_messages_arrive_with_their_positions),
    check!(appends::each_message_names_the_one_before_it),
    check!(appends::each_topic_has_a_history_of_its_own),
    check!(appends::concurrent_appends_have_one_order_on_all_nodes),
    check!(appends::an_append_after_another_has_a_greater_offset),
    check!(appends::any_payload_is_kept),
    check!(appends::tops_are_in_the_order_of_the_topics),
    check!(retries::a_repeat_is_answered_with_the_first_position),
    check!(retries::a_repeat_is_known_after_later_appends),
    check!(retries::a_repeat_by_another_node_is_a_repeat),
    check!(retries::concurrent_repeats_append_once),
    check!(retries::the_same_stamp_in_another_topic_is_no_repeat),
    check!(retries::a_thousand_and_twenty_four_stamps_are_remembered),
    check!(retries::a_repeat_is_known_when_the_message_is_trimmed),
    check!(retries::a_repeat_is_known_when_the_history_has_expired, 4),
    check!(retries::a_repeat_is_known_after_almost_five_minutes, 295),
    check!(pages::pages_of_any_size_are_the_whole_history),
    check!(pages::the_newest_messages_are_read_without_a_position),
    check!(pages::after_the_top_comes_an_empty_page),
    check!(pages::a_page_of_no_messages_has_the_top),
    check!(pages::a_topic_without_a_history_has_no_position),
    check!(pages::a_position_of_another_epoch_is_not_contiguous),
    check!(pages::a_position_above_the_top_is_not_contiguous),
    check!(retention::the_last_messages_are_kept),
    check!(retention::a_page_is_contiguous_if_nothing_between_was_trimmed),
    check!(retention::the_last_append_says_how_much_is_kept),
    check!(retention::a_history_lives_until_its_age_after_the_last_append, 5),
    check!(retention::a_history_that_has_expired_begins_a_new_epoch, 4),
    check!(forks::a_known_position_above_the_top_begins_a_new_epoch),
    check!(forks::other_known_positions_change_nothing),
    check!(names::names_are_kept_apart),
    check!(names::a_wildcard_in_a_name_is_a_character),
    check!(names::namespaces_and_kinds_are_kept_apart),
    check!(ending::dropped_futures_leave_the_broker_usable),
    check!(ending::dropped_appends_are_appended_once_or_not_at_all),
    check!(ending::a_broker_is_started_once),
    check!(ending::a_started_broker_is_well),
    check!(ending::nothing_arrives_after_stop),
    check!(ending::after_stop_all_calls_are_refused),
    check!(ending::what_a_stopped_node_has_appended_stays),
];

impl Check {
    /// What holds, such as `nothing_arrives_after_unsubscribe`: unique in [`CHECKS`].
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How much time the check lets pass, by [`System::pass_time`].
    pub fn time(&self) -> Duration {
        self.time
    }

    /// Runs the check, whatever the [patience](System::patience) of the system. [`run_all`](crate::run_all) does not stop at
    /// the first failure.
    ///
    /// # Panics
    ///
    /// If the broker does not do what it must, with a text that says what that is.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nodes of the check may still be connected.
    pub async fn run(&self, system: Arc<dyn System>) {
        // Two runs must not meet each other's histories.
        let run = RandomState::new().build_hasher().finish();
        let namespace = format!("{}-{run:016x}", self.name).into();
        (self.run)(Setup { system, namespace }).await;
    }
}

impl Setup {
    /// Connects and starts another node.
    pub(crate) async fn node(&self) -> Node {
        Node::start(self.system.connect(&self.namespace).await).await
    }

    /// The topic of a room.
    pub(crate) fn topic(&self, name: &str) -> Topic {
        Topic::room(self.namespace.clone(), name)
    }

    pub(crate) async fn pass_seconds(&self, seconds: f32) {
        self.system.pass_time(Duration::from_secs_f32(seconds)).await;
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("time", &self.time).finish_non_exhaustive()
    }
}
