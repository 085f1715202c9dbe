//! An event as a line for people.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cast::Role;

/// The line for an event; `None` for events that the story does not need: addresses, and delivery states on the way.
pub(super) fn of(event: &Value, names: &BTreeMap<String, Role>) -> Option<String> {
    if let Value::String(other) = event {
        return Some(format!("printed no JSON: {other}"));
    }
    let text = |field: &str| event[field].as_str().unwrap_or("?").to_owned();
    let name = |field: &str| name(&text(field), names);
    Some(match event["event"].as_str()? {
        "started" => format!("is peer {}", text("peer_id")),
        "http" => format!("serves its addresses at {}", text("url")),
        "reserved" => format!("has a reservation on the {}", name("relay")),
        "reservation_lost" => format!("lost its reservation on the {}", name("relay")),
        "registered" => format!(
            "is registered at the {} in namespace `{}` for {} s",
            name("relay"),
            text("namespace"),
            event["ttl"]
        ),
        "discovered" => format!("discovered {}", name("peer")),
        "connected" => format!(
            "connected to {}, {} ({})",
            name("peer"),
            text("path"),
            text("transport")
        ),
        "path_changed" => format!(
            "path to {} changed: {} → {} ({})",
            name("peer"),
            text("from"),
            text("to"),
            text("transport")
        ),
        "disconnected" => format!("disconnected from {}: {}", name("peer"), text("reason")),
        "incompatible" => format!("cannot talk to {}", name("peer")),
        "message" => format!(
            "shows, from {}: {}   ({})",
            name("from"),
            text("body"),
            text("path")
        ),
        "delivery" => match event["state"].as_str()? {
            "acked" => format!("✓ {} has message {}", name("to"), event["id"]),
            "failed" => format!("✗ message {} failed: {}", event["id"], text("reason")),
            _ => return None,
        },
        "error" => format!("error: {}", text("message")),
        _ => return None,
    })
}

fn name(peer: &str, names: &BTreeMap<String, Role>) -> String {
    let short = || {
        // All peer ids begin alike, so the end names a peer.
        let start = peer.char_indices().rev().nth(5).map_or(0, |(at, _)| at);
        format!("…{}", &peer[start..])
    };
    names.get(peer).map_or_else(short, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(event: &Value) -> Option<String> {
        let names = BTreeMap::from([("12D3KooWaaaaaa".into(), Role::A)]);
        of(event, &names)
    }

    #[test]
    fn peers_of_the_cast_go_by_their_roles() {
        let event = |peer| json!({"event": "discovered", "peer": peer, "addresses": []});
        assert_eq!(words(&event("12D3KooWaaaaaa")).unwrap(), "discovered A");
        assert_eq!(
            words(&event("12D3KooWbbbbbb")).unwrap(),
            "discovered …bbbbbb"
        );
        assert_eq!(words(&event("b")).unwrap(), "discovered …b");
    }

    #[test]
    fn states_on_the_way_are_left_out() {
        let event =
            |state| json!({"event": "delivery", "to": "12D3KooWaaaaaa", "id": 3, "state": state});
        assert_eq!(words(&event("sent")), None);
        assert_eq!(words(&event("acked")).unwrap(), "✓ A has message 3");
    }

    #[test]
    fn what_is_unknown_or_no_json_does_no_harm() {
        assert_eq!(words(&json!({"event": "of_later_versions"})), None);
        assert_eq!(words(&json!([1, 2])), None);
        assert!(words(&json!("oops")).unwrap().contains("oops"));
        assert_eq!(
            words(&json!({"event": "discovered"})).unwrap(),
            "discovered …?"
        );
    }
}
