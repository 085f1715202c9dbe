use super::*;

const PASSWORD: &str = "abcdefghijklmnopqrstuv";

#[test]
fn version_1_has_one_value_for_all() {
    let user = format!("{VERSION_1}{PASSWORD}");
    let credentials = Credentials::of(&user, &user).expect("version 1");
    assert_eq!(credentials.server, user);
    assert_eq!(credentials.client, user);
    assert_eq!(credentials.client_password, user);
    assert_eq!(Credentials::of(&user, "abcd"), None);
}

#[test]
fn version_2_has_the_clients_password_in_the_servers_user() {
    let user = format!("{VERSION_2}{PASSWORD}");
    let credentials = Credentials::of(&user, "abcd").expect("version 2");
    assert_eq!(credentials.server, user);
    assert_eq!(credentials.client, "abcd");
    assert_eq!(credentials.client_password, PASSWORD);
}

#[test]
fn other_versions_and_what_ice_does_not_allow_are_refused() {
    let long = "a".repeat(MAX_CHARS);
    for (server, client) in [
        ("", ""),
        (PASSWORD, PASSWORD),
        (&format!("libp2p+webrtc+v3/{PASSWORD}"), "abcd"),
        // Too short, too long.
        (&format!("{VERSION_2}{}", &PASSWORD[1..]), "abcd"),
        (&format!("{VERSION_2}{PASSWORD}"), "abc"),
        (&format!("{VERSION_2}{long}"), "abcd"),
        // What would be a line of its own in a description, or another character.
        (&format!("{VERSION_2}{PASSWORD}\r\na=x"), "abcd"),
        (&format!("{VERSION_2}{PASSWORD}"), "ab cd"),
        (&format!("{VERSION_2}{PASSWORD}é"), "abcd"),
    ] {
        assert_eq!(Credentials::of(server, client), None, "{server:?}");
    }
}
