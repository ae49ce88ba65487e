//! The context of every command: the shell, the workspace, and whether tools may be installed.

use crate::workspace::Workspace;
use anyhow::{Context as _, Result};
use xshell::Shell;

#[derive(Debug)]
pub(crate) struct Context {
    /// Commands run in the root of the workspace.
    pub(crate) sh: Shell,
    pub(crate) workspace: Workspace,
    /// Whether missing tools may be installed on this machine: only if `CI` is set, or with `--install`.
    pub(crate) may_install: bool,
}

impl Context {
    /// The workspace that the current directory is in.
    pub(crate) fn load() -> Result<Self> {
        let sh = Shell::new().context("cannot read the current directory")?;
        let workspace = Workspace::load(&sh)?;
        sh.change_dir(&workspace.root);
        Ok(Self { sh, workspace, may_install: is_ci() })
    }

    pub(crate) fn installing(self, wanted: bool) -> Self {
        Self { may_install: self.may_install || wanted, ..self }
    }
}

/// Whether this is a run in continuous integration.
pub(crate) fn is_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}
