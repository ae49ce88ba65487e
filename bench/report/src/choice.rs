//! Which servers are measured under which load.

use crate::places::Places;
use crate::servers::{Kind, SERVERS, Server};
use anyhow::{Context as _, Result};
use bench_load::{Role, SCENARIOS, Scenario};

/// The name for the servers that stand out.
const BEST: &str = "best";

/// The selected servers that are available.
#[derive(Debug)]
pub(crate) struct Choice {
    servers: Vec<&'static Server>,
    /// Whether only the servers that stand out in a scenario take part in it.
    is_best: bool,
}

impl Choice {
    /// All servers, those with these names, or `best`, for these scenarios, or for all. A named server that is missing is an
    /// error.
    pub(crate) fn new(names: &[String], named: &[&Scenario], places: &Places) -> Result<Self> {
        // A server is checked where it takes part: the same library as a client is another program.
        let check = |server: &Server| {
            let of_all = SCENARIOS.iter().find(|scenario| server.takes_part(scenario));
            let scenario = named.iter().copied().find(|scenario| server.takes_part(scenario)).or(of_all);
            places.command(server, scenario.unwrap_or(&SCENARIOS[0])).map(drop)
        };
        let is_best = names == [BEST];
        let names = if is_best { &[] } else { names };
        for name in names {
            let server = SERVERS.iter().find(|server| server.name == *name);
            let server = server
                .with_context(|| format!("there is no server `{name}`; --list tells the names, or use `best`"))?;
            check(server)?;
        }
        let mut servers = Vec::new();
        for server in SERVERS {
            if !(names.is_empty() || server.always || names.iter().any(|name| name == server.name)) {
                continue;
            }
            match check(server) {
                Ok(()) => servers.push(server),
                // A server that is not selected may be missing.
                Err(_) if is_best && server.best.is_empty() && !server.always => {}
                Err(error) => eprintln!("without {}: {error:#}", server.name),
            }
        }
        Ok(Self { servers, is_best })
    }

    /// The servers that are measured under this load, in the order of a turn.
    pub(crate) fn servers(&self, scenario: &Scenario) -> Vec<&'static Server> {
        let kind = Kind::of(scenario);
        // There are few clients.
        let is_best = self.is_best && scenario.role == Role::Server;
        let stands_out = |server: &Server| server.always || !is_best || server.best.contains(&kind);
        self.servers.iter().copied().filter(|server| server.takes_part(scenario) && stands_out(server)).collect()
    }
}
