//! Labels for what is refused: what stands in the log in words is a closed set of short names in metrics.

/// What is refused, as [`Refusals`](crate::common::refusals::Refusals) count it, and its label.
const REASONS: [(&str, &str); 24] = [
    ("handshakes", "handshakes"),
    ("handshakes of one network", "handshakes_of_network"),
    ("incoming connections", "incoming_connections"),
    ("connections", "connections"),
    ("connections of one peer", "connections_of_peer"),
    ("connections of one network", "connections_of_network"),
    ("reservations", "reservations"),
    ("reservations of one peer", "reservations_of_peer"),
    (
        "requests for reservations, too often,",
        "reservations_too_often",
    ),
    ("circuits", "circuits"),
    ("circuits of one peer", "circuits_of_peer"),
    ("circuits of one network", "circuits_of_network"),
    ("requests for circuits, too often,", "circuits_too_often"),
    ("circuits, cut for newcomers,", "circuits_cut_for_newcomers"),
    (
        "circuits, cut for nobody reads them,",
        "circuits_cut_unread",
    ),
    ("registrations", "registrations"),
    (
        "peers that register far too often",
        "registrations_too_often",
    ),
    ("HTTP connections", "http_connections"),
    (
        "requests of peers that may not use this relay",
        "peers_kept_out",
    ),
    (
        "connections of networks that may not use this relay",
        "networks_kept_out",
    ),
    (
        "requests to a relay short of memory",
        "requests_short_of_memory",
    ),
    (
        "connections to a relay short of memory",
        "connections_short_of_memory",
    ),
    ("requests to a relay that stops", "requests_while_stopping"),
    (
        "connections to a relay that stops",
        "connections_while_stopping",
    ),
];

/// For what has no label of its own: none, as a test looks for it.
const OTHER: &str = "other";

/// Returns a count for each label, in the order of the table.
pub(super) fn by_label(counts: Vec<(&'static str, u64)>) -> Vec<(&'static str, u64)> {
    let labels = REASONS.map(|(_, label)| label);
    let mut sums: Vec<_> = labels.into_iter().chain([OTHER]).map(|l| (l, 0)).collect();
    for (what, count) in counts {
        let known = REASONS.iter().position(|(reason, _)| *reason == what);
        if let Some((_, sum)) = sums.get_mut(known.unwrap_or(REASONS.len())) {
            *sum += count;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn what_has_no_label_is_other() {
        let sums = by_label(vec![("handshakes", 3), ("this", 1), ("that", 1)]);
        let of = |label| sums.iter().find(|(l, _)| *l == label).unwrap().1;
        assert_eq!((of("handshakes"), of(OTHER), of("circuits")), (3, 2, 0));
        let labels: BTreeSet<_> = sums.iter().map(|(label, _)| label).collect();
        assert_eq!(labels.len(), REASONS.len() + 1, "each has its own");
    }

    /// Looks into the source for whatever is counted as refused.
    #[test]
    fn all_that_is_refused_has_a_label() {
        const BEFORE: [&str; 8] = [
            "Refusal::limit(\"",
            "Exceeded::new(limit, \"",
            "self.limits.all, \"",
            "let what = \"",
            "refusals.count(\"",
            "REFUSED: &str = \"",
            "Exceeded::new(0, \"",
            "what: Some(\"",
        ];
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut found = BTreeSet::new();
        for file in [
            "relay/access.rs",
            "relay/handshakes.rs",
            "relay/hop.rs",
            "relay/hop/ledger.rs",
            "relay/network_limits.rs",
            "relay/swarm_events.rs",
            "http/connection_limit.rs",
        ] {
            let source = fs::read_to_string(root.join(file)).unwrap();
            for before in BEFORE {
                for rest in source.split(before).skip(1) {
                    found.insert(rest.split('"').next().unwrap().to_owned());
                }
            }
        }
        assert!(found.len() >= 16, "{found:?}");
        for what in &found {
            assert!(REASONS.iter().any(|(r, _)| r == what), "no label: {what}");
        }
    }
}
