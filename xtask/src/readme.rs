//! The step `readme`: a new user's first minutes. The first listing of README.md is compiled with the dependencies that README.md
//! gives, in a package of its own, and a client talks to the program.
//!
//! Only the place of Sockeye's crates differs from a user's: they come from this repository.

use crate::context::Context;
use anyhow::{Context as _, Result, ensure};
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use xshell::cmd;

/// The address in the listing. The program that runs here has a free port in its place.
const ADDRESS: &str = "127.0.0.1:3000";

/// The client, as a test of the package.
const TEST: &str = r#"
use sockeye_testkit::{Frame, Peer, UpgradeRequest};
use std::{
    process::{Child, Command},
    time::Duration,
};
use tokio::{net::TcpStream, task::yield_now, time::timeout};

/// Ends the program with the test, however that ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test]
async fn the_listing_echoes() {
    let mut server = Server(Command::new(env!("CARGO_BIN_EXE_readme")).spawn().unwrap());
    let connected = timeout(Duration::from_secs(60), async {
        loop {
            if let Ok(stream) = TcpStream::connect("ADDRESS").await {
                break stream;
            }
            assert_eq!(server.0.try_wait().unwrap(), None, "the program has ended");
            yield_now().await;
        }
    });
    let stream = connected.await.expect("the program does not listen at ADDRESS");
    let (_, mut client) = Peer::open(stream, UpgradeRequest::new("/ws")).await;
    client.send(Frame::text("hello")).await;
    client.expect_text("hello").await;
    client.send(Frame::binary([1, 2, 3])).await;
    client.expect_binary([1, 2, 3]).await;
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
}
"#;

pub(crate) fn run(ctx: &Context) -> Result<()> {
    let root = &ctx.workspace.root;
    let readme = fs::read_to_string(root.join("README.md")).context("cannot read README.md")?;
    let dependencies = listing(&readme, "toml").context("README.md has no listing of its dependencies")?;
    let program = listing(&readme, "rust").context("README.md has no listing of a program")?;
    ensure!(program.matches(ADDRESS).count() == 1, "the first listing of README.md does not listen at {ADDRESS}");
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.context("no free port")?.to_string();

    let folder = ctx.workspace.target.join("readme");
    for part in ["src", "tests"] {
        fs::create_dir_all(folder.join(part)).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let files = [
        ("Cargo.toml", manifest(ctx, dependencies)),
        ("src/main.rs", program.replace(ADDRESS, &address)),
        ("tests/echo.rs", TEST.replace("ADDRESS", &address)),
    ];
    for (file, text) in files {
        fs::write(folder.join(file), text).with_context(|| format!("cannot write {file}"))?;
    }
    // The versions with which everything else was tested.
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    let (sh, manifest) = (&ctx.sh, folder.join("Cargo.toml"));
    // This fetches all that is in Cargo.lock.
    cmd!(sh, "cargo fetch --quiet --locked").run()?;
    cmd!(sh, "cargo test --offline --manifest-path {manifest}").run()?;
    eprintln!("the first listing of README.md compiles in edition 2021, and echoes");
    Ok(())
}

/// The package of a new user, with Sockeye's crates from this repository.
fn manifest(ctx: &Context, dependencies: &str) -> String {
    let root = ctx.workspace.root.display().to_string();
    let mut manifest = format!(
        "[package]\nname = \"readme\"\nedition = \"2021\"\npublish = false\n\n[workspace]\n\n{dependencies}\n\
         [dev-dependencies]\nsockeye-testkit = {{ path = {:?} }}\n\n[patch.crates-io]\n",
        format!("{root}/crates/sockeye-testkit")
    );
    for package in ctx.workspace.published() {
        let _ = writeln!(manifest, "{} = {{ path = {:?} }}", package.name, package.folder.display().to_string());
    }
    manifest
}

/// The contents of the first listing in this language.
fn listing<'a>(markdown: &'a str, language: &str) -> Option<&'a str> {
    let (_, after) = markdown.split_once(&format!("```{language}\n"))?;
    after.split_once("```").map(|(listing, _)| listing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_listing_of_a_language_is_found() {
        let markdown = "text\n```toml\na = 1\n```\n```rust\nfn a() {}\n```\n```rust\nfn b() {}\n```\n";
        assert_eq!(listing(markdown, "rust"), Some("fn a() {}\n"));
        assert_eq!(listing(markdown, "toml"), Some("a = 1\n"));
        assert_eq!(listing(markdown, "sh"), None);
    }
}
