//! The budget's count of unread bytes, which the sending half holds.

use super::Send;

impl Send {
    /// Tells the budget how many received bytes wait for the handler. They count against the budget like queued bytes.
    pub(crate) fn report_unread(&mut self, bytes: usize) {
        let Some(rare) = &mut self.rare else { return };
        let Some(account) = &mut rare.account else { return };
        rare.others.extend(account.set_unread(bytes));
        self.has_wakeups |= !rare.others.is_empty();
        if self.stream.is_none() && bytes == 0 {
            rare.account = None;
        }
    }

    /// How many received bytes wait for the handler, as last reported to the budget. 0 without a budget.
    pub(crate) fn unread(&self) -> usize {
        let account = self.rare.as_ref().and_then(|rare| rare.account.as_ref());
        account.map_or(0, crate::limits::budget::Account::unread)
    }
}
