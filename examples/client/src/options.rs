//! The arguments, and what they say about the connection.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use clap::Parser;
use sockeye::{
    Client, ClientRequest, CloseCode, Compression, Timeouts,
    client::{Proxy, Tls},
    close_code::is_valid_on_wire,
};

/// Opens a WebSocket: each line of stdin is sent as a message, and each message is a line of stdout.
///
/// At the end of stdin, and at Ctrl-C, the connection is closed. What the server still sends is printed, up to its own Close.
#[derive(Parser)]
#[command(after_help = crate::status::HELP)]
pub(crate) struct Options {
    /// The server, such as `wss://feed.example.com/v1`.
    url: String,
    /// A header of the request; may be given several times.
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE")]
    headers: Vec<String>,
    /// Send `Authorization: Bearer TOKEN`. Other users of this machine can see arguments.
    #[arg(long, value_name = "TOKEN")]
    bearer: Option<String>,
    /// A subprotocol to offer; may be given several times, the most wanted first. The server must choose one.
    #[arg(long = "protocol", value_name = "NAME")]
    protocols: Vec<String>,
    /// Offer compression (permessage-deflate).
    #[arg(long)]
    compress: bool,
    /// The proxy, such as `http://user:password@proxy.example.com:3128`, or `none`. Default: what the environment says, in
    /// HTTPS_PROXY and others.
    #[arg(long, value_name = "URL")]
    proxy: Option<String>,
    /// Trust the certificates in this PEM file, and no others. Default: those that this machine trusts.
    #[arg(long, value_name = "FILE")]
    roots: Option<PathBuf>,
    /// How many seconds opening the connection may take.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    within: u64,
    /// After how many seconds of silence the server is sent a Ping; 0 stands for never. A server that does not answer is lost.
    #[arg(long, value_name = "SECONDS", default_value_t = 20)]
    ping_interval: u64,
    /// Send lines as binary messages. They need not be UTF-8.
    #[arg(long)]
    pub(crate) binary: bool,
    /// Close after the first message of the server, and not at the end of stdin.
    #[arg(short = '1', long)]
    one: bool,
    /// As --one, but after this many messages.
    #[arg(short = 'n', long, value_name = "COUNT", conflicts_with = "one", value_parser = clap::value_parser!(u64).range(1..))]
    messages: Option<u64>,
    /// Stay open at the end of stdin, until the server closes.
    #[arg(long)]
    pub(crate) keep_open: bool,
    /// The code of the Close at the end of stdin.
    #[arg(long, value_name = "CODE", default_value_t = 1000, value_parser = close_code)]
    pub(crate) close: CloseCode,
    /// Tell on stderr what the server has answered, and which Pings and Pongs it sends.
    #[arg(short, long)]
    pub(crate) verbose: bool,
}

impl Options {
    /// The client, and what it asks for. Fails if a file cannot be read, or for what only this program checks.
    pub(crate) fn plan(&self) -> anyhow::Result<(Client, ClientRequest)> {
        Ok((self.client()?, self.request()?))
    }

    /// After how many messages of the server the connection is closed.
    pub(crate) fn enough(&self) -> Option<u64> {
        if self.one { Some(1) } else { self.messages }
    }

    fn client(&self) -> anyhow::Result<Client> {
        let after = (self.ping_interval > 0).then(|| Duration::from_secs(self.ping_interval));
        let timeouts = Timeouts::new().keep_alive(after);
        let mut client = Client::builder().within(Duration::from_secs(self.within)).timeouts(timeouts);
        match self.proxy.as_deref() {
            None => {}
            Some("none") => client = client.proxy(Proxy::none()),
            Some(url) => client = client.proxy(Proxy::new(url)),
        }
        if let Some(file) = &self.roots {
            let roots = fs::read(file).with_context(|| format!("reading {} (see --roots)", file.display()))?;
            client = client.tls(Tls::pem(&roots).with_context(|| format!("the file {}", file.display()))?);
        }
        Ok(client.build())
    }

    fn request(&self) -> anyhow::Result<ClientRequest> {
        let mut request = ClientRequest::new(&self.url).protocols(&self.protocols);
        for header in &self.headers {
            // Without the text: it may be a secret without a name.
            let Some((name, value)) = header.split_once(':') else {
                bail!("a --header has no colon; expected NAME:VALUE")
            };
            request = request.header(name.trim(), value.trim());
        }
        if let Some(token) = &self.bearer {
            request = request.bearer(token);
        }
        if !self.protocols.is_empty() {
            request = request.require_protocol();
        }
        if self.compress {
            request = request.compression(Compression::new());
        }
        Ok(request)
    }
}

fn close_code(argument: &str) -> Result<CloseCode, String> {
    let code = argument.parse().ok().filter(|code| is_valid_on_wire(*code));
    code.ok_or_else(|| "no end may send it; expected 1000 to 1014 but 1004 to 1006, or 3000 to 4999".to_owned())
}
