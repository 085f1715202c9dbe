//! The scenes of the demo in their order, and the events that show that a scene is over.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use super::cast::{Cast, Role};

/// The scenes, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    RelayOpens,
    BArrives,
    AArrives,
    TheyMeet,
    GoDirect,
    Talk,
    RelayGoes,
    TalkOn,
}

const SCENES: &[Scene] = &[
    Scene::RelayOpens,
    Scene::BArrives,
    Scene::AArrives,
    Scene::TheyMeet,
    Scene::GoDirect,
    Scene::Talk,
    Scene::RelayGoes,
    Scene::TalkOn,
];

/// What the peers type while the relay is there.
const LINES: [(Role, &str); 2] = [
    (Role::A, "Hello B, can you read this?"),
    (Role::B, "Every word, A."),
];
/// What the peers type when the relay is gone.
const LAST_LINES: [(Role, &str); 2] = [
    (Role::A, "The relay is gone. Still there?"),
    (Role::B, "Still here: nobody is between us."),
];

/// All that the demo has seen so far.
#[derive(Debug, Default)]
pub(super) struct Story {
    played: usize,
    relay_url: Option<String>,
    ready: BTreeSet<Role>,
    connected: BTreeSet<Role>,
    direct: BTreeSet<Role>,
    /// Messages that were shown, with the peer that showed them.
    shown: BTreeSet<(Role, String)>,
    /// Ids of messages that were acked, with the peer that sent them.
    acked: BTreeSet<(Role, u64)>,
    /// Peers that have noticed that the relay is gone.
    without_relay: BTreeSet<Role>,
}

impl Story {
    pub(super) fn next_scene(&mut self) -> Option<Scene> {
        let scene = SCENES.get(self.played).copied();
        self.played += 1;
        scene
    }

    /// Takes into account what a process has printed.
    pub(super) fn note(&mut self, role: Role, event: &Value) {
        let is = |field: &str, value: &str| event[field] == value;
        match event["event"].as_str().unwrap_or_default() {
            // There is a URL for IPv4 and one for IPv6, each with a port of its own. The first will do.
            "http" if self.relay_url.is_none() => {
                self.relay_url = event["url"].as_str().map(Into::into);
            }
            "ready" => _ = self.ready.insert(role),
            "connected" => {
                self.connected.insert(role);
                self.set_direct(role, is("path", "direct"));
            }
            "path_changed" => self.set_direct(role, is("to", "direct")),
            "disconnected" => {
                self.connected.remove(&role);
                self.set_direct(role, false);
            }
            "message" => {
                let body = event["body"].as_str().unwrap_or_default();
                self.shown.insert((role, body.into()));
            }
            "delivery" if is("state", "acked") => {
                self.acked
                    .insert((role, event["id"].as_u64().unwrap_or_default()));
            }
            "reservation_lost" => _ = self.without_relay.insert(role),
            _ => {}
        }
    }

    pub(super) fn relay_url(&self) -> Result<String> {
        let url = self.relay_url.clone();
        url.context("the relay's URL is unknown")
    }

    fn set_direct(&mut self, role: Role, direct: bool) {
        if direct {
            self.direct.insert(role);
        } else {
            self.direct.remove(&role);
        }
    }

    fn both(set: &BTreeSet<Role>) -> bool {
        set.contains(&Role::A) && set.contains(&Role::B)
    }

    /// Whether these lines were shown on the other side, and each sender has acks for all that it has sent by then.
    fn delivered(&self, lines: &[(Role, &str)], sent_each: usize) -> bool {
        let acked = |role| {
            self.acked
                .iter()
                .filter(|(sender, _)| *sender == role)
                .count()
        };
        lines.iter().all(|(sender, line)| {
            let receiver = if *sender == Role::A { Role::B } else { Role::A };
            self.shown.contains(&(receiver, (*line).into())) && acked(*sender) >= sent_each
        })
    }
}

impl Scene {
    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::RelayOpens => "A relay starts: the only thing here that needs a public address.",
            Self::BArrives => "B starts and knows nothing but the relay.",
            Self::AArrives => "So does A.",
            Self::TheyMeet => "They find each other.",
            Self::GoDirect => "They punch through to a direct path.",
            Self::Talk => "They talk, and see what arrived.",
            Self::RelayGoes => "The relay is switched off.",
            Self::TalkOn => "They talk on.",
        }
    }

    /// What the scene waits for, in words for the error when it does not come.
    pub(super) const fn awaited(self) -> &'static str {
        match self {
            Self::RelayOpens => "the relay is ready and says where it serves its addresses",
            Self::BArrives => "B has a reservation on the relay and is registered",
            Self::AArrives => "A has a reservation on the relay and is registered",
            Self::TheyMeet => "A and B are connected",
            Self::GoDirect => "A and B have a direct path",
            Self::Talk => "both lines are shown and acked",
            Self::RelayGoes => "A and B have noticed that the relay is gone",
            Self::TalkOn => "both lines are shown and acked, without a relay",
        }
    }

    pub(super) fn begin(self, cast: &mut Cast, story: &Story) -> Result<()> {
        let relay = || story.relay_url();
        match self {
            Self::RelayOpens => cast.start_relay(),
            Self::BArrives => cast.start_peer(Role::B, &relay()?),
            Self::AArrives => cast.start_peer(Role::A, &relay()?),
            Self::TheyMeet | Self::GoDirect => Ok(()),
            Self::Talk => type_all(cast, &LINES),
            Self::RelayGoes => cast.stop_relay(),
            Self::TalkOn => type_all(cast, &LAST_LINES),
        }
    }

    pub(super) fn is_over(self, story: &Story) -> bool {
        match self {
            Self::RelayOpens => story.relay_url.is_some() && story.ready.contains(&Role::Relay),
            Self::BArrives => story.ready.contains(&Role::B),
            Self::AArrives => story.ready.contains(&Role::A),
            Self::TheyMeet => Story::both(&story.connected),
            Self::GoDirect => Story::both(&story.direct),
            Self::Talk => story.delivered(&LINES, 1),
            Self::RelayGoes => Story::both(&story.without_relay),
            Self::TalkOn => story.delivered(&LAST_LINES, 2),
        }
    }
}

fn type_all(cast: &mut Cast, lines: &[(Role, &str)]) -> Result<()> {
    lines
        .iter()
        .try_for_each(|(role, line)| cast.type_line(*role, line))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_first_url_is_the_one_to_use() {
        let mut story = Story::default();
        for url in ["http://127.0.0.1:4567", "http://[::1]:4568"] {
            story.note(Role::Relay, &json!({"event": "http", "url": url}));
        }
        assert_eq!(story.relay_url.as_deref(), Some("http://127.0.0.1:4567"));
    }

    #[test]
    fn a_path_that_is_direct_at_once_will_do() {
        let mut story = Story::default();
        for role in [Role::A, Role::B] {
            assert!(!Scene::GoDirect.is_over(&story));
            story.note(role, &json!({"event": "connected", "path": "direct"}));
        }
        assert!(Scene::TheyMeet.is_over(&story) && Scene::GoDirect.is_over(&story));
        story.note(Role::A, &json!({"event": "path_changed", "to": "relayed"}));
        assert!(!Scene::GoDirect.is_over(&story));
        story.note(Role::A, &json!({"event": "path_changed", "to": "direct"}));
        assert!(Scene::GoDirect.is_over(&story));
    }

    #[test]
    fn talk_is_over_when_lines_are_shown_and_acked() {
        let mut story = Story::default();
        story.note(Role::B, &json!({"event": "message", "body": LINES[0].1}));
        story.note(Role::A, &json!({"event": "message", "body": LINES[1].1}));
        story.note(
            Role::A,
            &json!({"event": "delivery", "id": 1, "state": "acked"}),
        );
        story.note(
            Role::B,
            &json!({"event": "delivery", "id": 1, "state": "sent"}),
        );
        assert!(!Scene::Talk.is_over(&story));
        story.note(
            Role::B,
            &json!({"event": "delivery", "id": 1, "state": "acked"}),
        );
        assert!(Scene::Talk.is_over(&story));
    }

    #[test]
    fn odd_events_do_no_harm() {
        let mut story = Story::default();
        for event in [
            json!(null),
            json!("text"),
            json!({"event": 3}),
            json!({"event": "http"}),
        ] {
            story.note(Role::Relay, &event);
        }
        assert!(story.relay_url.is_none());
    }
}
