//! Who may read a relay's figures.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, header, uri::Authority};
use punchline::networks::Kind;
use serde::Deserialize;

/// To whom `/metrics` and `/status` are answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Access {
    /// To nobody.
    Off,
    /// To this machine.
    #[default]
    Local,
    /// To this machine and to private networks.
    Private,
    /// To everybody.
    Any,
}

/// What a proxy adds: the request came from elsewhere, whatever address it has here.
const OF_PROXIES: [HeaderName; 4] = [
    header::FORWARDED,
    header::VIA,
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-real-ip"),
];

const OFF: &str = "This relay keeps its figures to itself. Its operator can start it with --metrics local, \
    for requests from its own machine.\n";
const NOT_LOCAL: &str = "Only requests from the relay's own machine are answered here, under a name of it such as \
    localhost, and none that a proxy passes on. From elsewhere: ssh -L 8080:localhost:PORT, or let the operator start \
    the relay with --metrics private or --metrics any.\n";
const NOT_PRIVATE: &str = "Only requests from the relay's own machine and from private networks are answered here, and \
    none that a proxy passes on. The operator can start the relay with --metrics any.\n";

impl Access {
    /// Says why a request is not answered, and what to do about it; `None` if it is.
    pub(crate) fn refusal(self, from: IpAddr, request: &HeaderMap) -> Option<&'static str> {
        let passed_on = OF_PROXIES.iter().any(|name| request.contains_key(name));
        match (self, Kind::of(from)) {
            (Self::Off, _) => Some(OFF),
            (Self::Local, Kind::Loopback) if !passed_on && names_this_machine(request) => None,
            (Self::Local, _) => Some(NOT_LOCAL),
            (Self::Private, Kind::Loopback | Kind::Private) if !passed_on => None,
            (Self::Private, _) => Some(NOT_PRIVATE),
            (Self::Any, _) => None,
        }
    }
}

/// Whether the request is to this machine by a name that leads nowhere else. A page in the operator's browser can have a
/// name of its own lead here, and would then pass for local.
fn names_this_machine(request: &HeaderMap) -> bool {
    let mut hosts = request.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let authority: Option<Authority> = host.to_str().ok().and_then(|host| host.parse().ok());
    authority.is_some_and(|authority| {
        let name = authority.host();
        let ip: Result<IpAddr, _> = name.trim_matches(['[', ']']).parse();
        name.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1";
    const LAN: &str = "192.168.1.7";
    const INTERNET: &str = "203.0.113.7";

    fn is_answered(access: Access, from: &str, headers: &[(&'static str, &str)]) -> bool {
        let mut request = HeaderMap::new();
        for (name, value) in headers {
            request.append(*name, value.parse().unwrap());
        }
        access.refusal(from.parse().unwrap(), &request).is_none()
    }

    #[test]
    fn each_value_lets_in_more_than_the_one_before() {
        let host = ("host", "localhost:45680");
        for (access, answered) in [
            (Access::Off, [false, false, false]),
            (Access::Local, [true, false, false]),
            (Access::Private, [true, true, false]),
            (Access::Any, [true, true, true]),
        ] {
            let found = [LOOPBACK, LAN, INTERNET].map(|from| is_answered(access, from, &[host]));
            assert_eq!(found, answered, "{access:?}");
        }
        assert_eq!(Access::default(), Access::Local);
    }

    #[test]
    fn what_a_proxy_passes_on_is_not_local() {
        let host = ("host", "localhost");
        for name in ["x-forwarded-for", "forwarded", "x-real-ip", "via"] {
            let headers = [host, (name, "127.0.0.1")];
            assert!(!is_answered(Access::Local, LOOPBACK, &headers), "{name}");
            assert!(!is_answered(Access::Private, LAN, &headers), "{name}");
            assert!(is_answered(Access::Any, LOOPBACK, &headers), "{name}");
        }
    }

    #[test]
    fn a_name_that_may_lead_elsewhere_is_not_local() {
        let by = |host| is_answered(Access::Local, LOOPBACK, &[("host", host)]);
        for host in [
            "localhost",
            "LOCALHOST:1",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:1",
        ] {
            assert!(by(host), "{host}");
        }
        for host in [
            "evil.example:45680",
            "192.168.1.7",
            "",
            "localhost.evil.example",
        ] {
            assert!(!by(host), "{host}");
        }
        assert!(!is_answered(Access::Local, LOOPBACK, &[]), "no name");
        let two = [("host", "localhost"), ("host", "evil.example")];
        assert!(!is_answered(Access::Local, LOOPBACK, &two));
    }
}
