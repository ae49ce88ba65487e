//! Folders under `target/` that hold what a package manager installed: virtualenvs, `node_modules`.
//!
//! They are build output, as the crates under `target/debug` are: made when the interpreter is there, made anew when a
//! pin changes, and gone with `cargo clean`. So they do not count as a change to the machine, and need no `--install`.

use crate::Context;
use crate::tools::{Skip, Tool};
use anyhow::{Context as _, Result, anyhow};
use std::fs;
use std::path::{Path, PathBuf};
use xshell::cmd;

/// Makes `folder` with `make`, unless it is there and was made from these very `inputs`.
fn prepare(ctx: &Context, folder: &Path, inputs: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    // Written last, so that a folder whose making was interrupted is made anew.
    let stamp = folder.join("made-from.txt");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == inputs) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove the outdated {}", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    make().map_err(|error| {
        let shown = ctx.workspace.relative(folder).display();
        // Without a network a developer's run goes on; in CI this must not pass unseen.
        if ctx.may_install {
            error.context(format!("cannot fill {shown}"))
        } else {
            anyhow!(Skip(format!("{shown} cannot be filled ({error:#}); is there a network?")))
        }
    })?;
    fs::write(&stamp, inputs).with_context(|| format!("cannot write {}", stamp.display()))
}

/// Python 2.7 with the Autobahn test suite.
///
/// Everything is pinned and nothing resolved (`--no-deps`), since pip's idea of what still fits Python 2.7 is wrong for
/// several of these packages.
pub(crate) fn autobahn(ctx: &Context) -> Result<PathBuf> {
    let python = Tool::Python27.require(ctx)?;
    let data = ctx.workspace.root.join("xtask/autobahn");
    let folder = ctx.workspace.target.join("autobahn/environment");
    let interpreter = folder.join("venv/bin/python");
    let (bootstrap, requirements) = (data.join("bootstrap.txt"), data.join("requirements.txt"));
    let constraints = data.join("build-constraints.txt");
    let inputs =
        [python.display().to_string(), read(&bootstrap)?, read(&requirements)?, read(&constraints)?].join("\n");

    prepare(ctx, &folder, &inputs, || {
        let sh = &ctx.sh;
        let _quiet = sh.push_env("PIP_NO_PYTHON_VERSION_WARNING", "1");
        let virtualenv = folder.join("virtualenv");
        cmd!(sh, "{python} -m pip install --quiet --no-deps --target {virtualenv} -r {bootstrap}").run()?;
        {
            let _path = sh.push_env("PYTHONPATH", &virtualenv);
            let (cache, venv) = (folder.join("app-data"), folder.join("venv"));
            cmd!(sh, "{python} -m virtualenv --quiet --no-download --no-periodic-update --app-data {cache} {venv}")
                .run()?;
        }
        // By environment, since only that reaches the isolated build of wsaccel.
        let _constraints = sh.push_env("PIP_CONSTRAINT", &constraints);
        cmd!(sh, "{interpreter} -m pip install --quiet --no-deps -r {requirements}").run()?;
        Ok(())
    })?;
    Ok(interpreter)
}

/// Python 3 with the packages of `xtask/interop/requirements.txt`.
pub(crate) fn python(ctx: &Context) -> Result<PathBuf> {
    let python = Tool::Python3.require(ctx)?;
    let requirements = ctx.workspace.root.join("xtask/interop/requirements.txt");
    let folder = ctx.workspace.target.join("interop/python");
    let interpreter = folder.join("venv/bin/python");
    let sh = &ctx.sh;
    let version = cmd!(sh, "{python} --version").quiet().read()?;

    prepare(ctx, &folder, &format!("{version}\n{}", read(&requirements)?), || {
        let venv = folder.join("venv");
        cmd!(sh, "{python} -m venv {venv}").run()?;
        cmd!(sh, "{interpreter} -m pip install --quiet -r {requirements}").run()?;
        Ok(())
    })?;
    Ok(interpreter)
}

/// A folder with `node_modules` as `xtask/interop/package-lock.json` has it; scripts must lie in it to find them.
pub(crate) fn node(ctx: &Context) -> Result<PathBuf> {
    Tool::Node.require(ctx)?;
    let npm = Tool::Npm.require(ctx)?;
    let data = ctx.workspace.root.join("xtask/interop");
    let folder = ctx.workspace.target.join("interop/node");
    let (manifest, lock) = (data.join("package.json"), data.join("package-lock.json"));

    prepare(ctx, &folder, &[read(&manifest)?, read(&lock)?].join("\n"), || {
        let sh = &ctx.sh;
        sh.copy_file(&manifest, &folder)?;
        sh.copy_file(&lock, &folder)?;
        let _folder = sh.push_dir(&folder);
        cmd!(sh, "{npm} ci --ignore-scripts --no-audit --no-fund --loglevel=error").run()?;
        Ok(())
    })?;
    Ok(folder)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
