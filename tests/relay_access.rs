//! Who may use a relay: lists of an operator, and what becomes of whom they keep out.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod common;

use std::{fs, path::Path};

use common::{Proc, Relay, text};

/// The key of a peer, as `--secret-key-seed` makes it.
const A: &str = "7";
const B: &str = "8";
const A_ID: &str = "12D3KooWLnZUpcaBwbz9uD1XsyyHnbXUrJRmxnsMiRnuCmvPix67";
const B_ID: &str = "12D3KooWQ8vrERR8bnPByEjjtqV6hTWehaf8TmK7qR1cUsyrPpfZ";

fn relay_with(option: &str, list: &Path) -> Relay {
    let list = list.to_str().unwrap();
    Relay::start(&[option, list])
}

fn peer(name: &str, relay: &Relay, seed: &str) -> Proc {
    let url = relay.url();
    let args = ["--relay", &url, "--secret-key-seed", seed, "--json"];
    Proc::start(
        name,
        &[&args[..], &["--listen", "/ip4/127.0.0.1/udp/0/quic-v1"]].concat(),
    )
}

fn wait_refused(peer: &mut Proc) {
    let error = peer.wait_for("a refusal", |event| {
        event["event"] == "error" && event["code"] == "reservation-refused"
    });
    assert!(
        text(&error, "message").contains("gave no reservation"),
        "{error}"
    );
}

#[test]
fn a_list_keeps_peers_out_and_takes_effect_when_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("deny");
    fs::write(&list, format!("# who was rude\n{A_ID} # in November\n")).unwrap();
    let relay = relay_with("--deny-list", &list);
    let mut a = peer("a", &relay, A);
    let mut b = peer("b", &relay, B);
    b.wait_event("registered");
    wait_refused(&mut a);
    fs::write(&list, format!("{B_ID}\n")).unwrap();
    b.wait_event("reservation_lost");
    wait_refused(&mut b);
    a.wait_event("reserved");
    a.wait_event("registered");
}

#[test]
fn a_list_of_friends_lets_in_nobody_else() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("allow");
    fs::write(&list, B_ID).unwrap();
    let relay = relay_with("--allow-list", &list);
    let mut a = peer("a", &relay, A);
    let mut b = peer("b", &relay, B);
    b.wait_event("registered");
    wait_refused(&mut a);
}

#[test]
fn a_network_that_is_kept_out_gets_no_connection() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("deny");
    fs::write(&list, "0.0.0.0/0\n::/0\n").unwrap();
    let relay = relay_with("--deny-list", &list);
    let mut a = peer("a", &relay, A);
    a.wait_for("an error", |event| event["event"] == "error");
    fs::write(&list, "").unwrap();
    a.wait_event("registered");
}

#[test]
fn a_wrong_list_is_named_before_anything_starts() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("allow");
    fs::write(&list, "192.0.2.1\nsomebody\n").unwrap();
    let list = list.to_str().unwrap();
    let relay = Proc::start("relay", &["relay", "--port", "0", "--allow-list", list]);
    let ended = relay.finish();
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let expected = format!("error: --allow-list {list}: line 2: \"somebody\" is no peer id");
    assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
}
