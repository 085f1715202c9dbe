//! Which names are taken, and what peers without one are called.

use super::*;

fn peer(seed: u8) -> PeerId {
    let mut key = [0; 32];
    key[0] = seed;
    let key = libp2p::identity::Keypair::ed25519_from_bytes(key).unwrap();
    key.public().to_peer_id()
}

#[test]
fn a_name_is_what_was_chosen_without_the_blanks_around_it() {
    assert_eq!(
        &*PeerName::chosen(" Änne of the 🐙 \n").unwrap(),
        "Änne of the 🐙"
    );
    let family = "👩\u{200d}💻";
    assert_eq!(
        &*PeerName::chosen(family).unwrap(),
        family,
        "emoji are joined"
    );
}

#[test]
fn a_name_has_at_most_64_bytes() {
    assert_eq!(PeerName::chosen(&"ü".repeat(32)).unwrap().len(), 64);
    let longer = "ü".repeat(32) + "x";
    assert_eq!(PeerName::chosen(&longer), Err(InvalidName::TooLong(65)));
    assert_eq!(PeerName::chosen(" \t "), Err(InvalidName::Empty));
}

#[test]
fn what_changes_how_a_line_looks_is_no_name() {
    for bad in [
        "a\nb",
        "\u{1b}[31mred",
        "a\u{202e}b",
        "a\u{2066}b",
        "a\u{200b}b",
        "a\0",
        "a\u{9b}b",
    ] {
        assert_eq!(PeerName::chosen(bad), Err(InvalidName::Control), "{bad:?}");
    }
}

/// These words are what users know peers by: they may not change.
#[test]
fn the_words_of_some_peers() {
    let names: Vec<_> = (0..4)
        .map(|seed| PeerName::of(&peer(seed)).to_string())
        .collect();
    assert_eq!(
        names,
        ["frosty-owl", "silent-planet", "lucky-lynx", "calm-willow"]
    );
}

#[test]
fn each_word_comes_once() {
    let mut all: Vec<_> = words::ADJECTIVES.iter().chain(&words::NOUNS).collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 128);
    assert!(
        all.iter()
            .all(|word| word.bytes().all(|c| c.is_ascii_lowercase()))
    );
}

#[test]
fn a_name_is_json_text_and_a_bad_one_is_refused() {
    let name = PeerName::chosen("Änne").unwrap();
    assert_eq!(serde_json::to_string(&name).unwrap(), "\"Änne\"");
    assert_eq!(serde_json::from_str::<PeerName>("\"Änne\"").unwrap(), name);
    assert!(serde_json::from_str::<PeerName>("\"a\\nb\"").is_err());
}
