//! A duration as milliseconds, for serde.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub(super) fn serialize<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs_f64() * 1_000.0)
        .serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let time = Option::<f64>::deserialize(deserializer)?;
    time.map(|time| Duration::try_from_secs_f64(time / 1_000.0))
        .transpose()
        .map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::PeerInfo;

    #[test]
    fn a_round_trip_is_in_milliseconds() {
        let peer = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
        let mut info = PeerInfo {
            peer: peer.parse().unwrap(),
            name: crate::name::PeerName::chosen("Anna").unwrap(),
            in_room: true,
            path: None,
            transport: None,
            address: None,
            rtt: None,
            unacked: 2,
            code: None,
            reason: None,
        };
        let without = format!(r#"{{"peer":"{peer}","name":"Anna","in_room":true,"unacked":2}}"#);
        assert_eq!(serde_json::to_string(&info).unwrap(), without);
        assert_eq!(serde_json::from_str::<PeerInfo>(&without).unwrap(), info);

        info.rtt = Some(Duration::from_micros(1_250));
        let with = format!(
            r#"{{"peer":"{peer}","name":"Anna","in_room":true,"rtt_ms":1.25,"unacked":2}}"#
        );
        assert_eq!(serde_json::to_string(&info).unwrap(), with);
        assert_eq!(serde_json::from_str::<PeerInfo>(&with).unwrap(), info);

        let negative = with.replace("1.25", "-1");
        assert!(serde_json::from_str::<PeerInfo>(&negative).is_err());
    }
}
