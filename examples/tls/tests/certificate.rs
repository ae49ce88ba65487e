//! The certificate is replaced while the server runs.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::fs;

use common::{Files, Server, Trust, certificate, echo, made, open, secured};
use example_tls::certificate::{Certificate, Source};
use tokio_rustls::rustls::{
    HandshakeKind,
    version::{TLS12, TLS13},
};

#[tokio::test]
async fn an_open_connection_survives_a_new_certificate() {
    let (old, new) = (made(), made());
    for version in [&TLS12, &TLS13] {
        let files = Files::with("reload", &old);
        let server = Server::start(files.source()).await;
        // Clients remember the sessions of a connector.
        let connector = Trust::speaking(&[version], &[&old, &new]).connector();
        let mut before = open(server.addr, &connector).await;
        echo(&mut before).await;
        assert_eq!(certificate(before.get_ref()), *old.cert.der());
        let mut again = open(server.addr, &connector).await;
        echo(&mut again).await;
        assert_eq!(again.get_ref().get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));

        files.replace(&new);
        server.certificate.reload().unwrap();
        let mut after = open(server.addr, &connector).await;
        echo(&mut after).await;
        // Had the client resumed its session, this would be the old one.
        assert_eq!(certificate(after.get_ref()), *new.cert.der());
        echo(&mut before).await;
        assert_eq!(certificate(before.get_ref()), *old.cert.der());
    }
}

#[tokio::test]
async fn broken_files_change_nothing_and_are_named() {
    let (old, new) = (made(), made());
    let files = Files::with("broken", &old);
    let server = Server::start(files.source()).await;
    let connector = Trust::new(&[&old]).connector();
    let mut open_before = open(server.addr, &connector).await;

    let key = new.signing_key.serialize_pem();
    let broken: [(&str, Option<&str>, Option<&str>); 6] = [
        ("certificate.pem", None, Some(&key)),
        ("certificate.pem has no certificate", Some("nothing in PEM"), Some(&key)),
        ("certificate.pem", Some("-----BEGIN CERTIFICATE-----\n????\n-----END CERTIFICATE-----\n"), Some(&key)),
        ("key.pem", Some(&new.cert.pem()), None),
        ("key.pem", Some(&new.cert.pem()), Some(&new.cert.pem())),
        ("cannot be used together", Some(&new.cert.pem()), Some(&old.signing_key.serialize_pem())),
    ];
    for (told, certificate_pem, key_pem) in broken {
        for (path, pem) in [(&files.certificate, certificate_pem), (&files.key, key_pem)] {
            match pem {
                Some(pem) => fs::write(path, pem).unwrap(),
                None => fs::remove_file(path).unwrap(),
            }
        }
        let error = format!("{:#}", server.certificate.reload().unwrap_err());
        assert!(error.contains(told), "{told}: {error}");
        let mut client = open(server.addr, &connector).await;
        echo(&mut client).await;
        assert_eq!(certificate(client.get_ref()), *old.cert.der());
    }
    echo(&mut open_before).await;
    assert!(Certificate::new(files.source()).is_err());

    files.replace(&new);
    server.certificate.reload().unwrap();
    let client = open(server.addr, &Trust::new(&[&new]).connector()).await;
    assert_eq!(certificate(client.get_ref()), *new.cert.der());
}

#[cfg(feature = "self-signed")]
#[tokio::test]
async fn the_certificate_without_files_is_a_new_one_that_nobody_trusts() {
    let server = Server::start(Source::SelfSigned).await;
    let mut seen = Vec::new();
    for _ in 0..2 {
        let made = certificate(&secured(server.addr, &Trust::everybody().connector()).await.unwrap());
        let refused = secured(server.addr, &Trust::new(&[&self::made()]).connector()).await.unwrap_err();
        assert!(refused.to_string().contains("invalid peer certificate"), "{refused}");
        echo(&mut open(server.addr, &Trust::only(made.clone()).connector()).await).await;
        seen.push(made);
        server.certificate.reload().unwrap();
    }
    assert_ne!(seen[0], seen[1]);
}
