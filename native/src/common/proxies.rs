//! Proxies whose word on where a client comes from is taken: by `X-Forwarded-For` over HTTP, by the PROXY protocol before
//! anything else.

use std::{net::IpAddr, sync::Arc};

use axum::http::HeaderMap;
use ipnet::IpNet;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks of trusted proxies. Clones share them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    pub(crate) fn new(networks: Vec<IpNet>) -> Self {
        Self(networks.into())
    }

    pub(crate) fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }

    /// Returns where a request comes from that `from` has sent: the last address in `X-Forwarded-For` that is no trusted
    /// proxy's, since each proxy adds the one that it sees. What a client wrote before that is no one's word.
    pub(crate) fn client(&self, from: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.contains(from) {
            return from;
        }
        let mut client = from;
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        for entry in lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(',')) {
            let Ok(ip) = entry.trim().parse::<IpAddr>() else {
                break;
            };
            client = ip.to_canonical();
            if !self.contains(client) {
                break;
            }
        }
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn client(from: &str, lines: &[&str]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"];
        let networks = networks.iter().map(|n| n.parse().unwrap()).collect();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(FORWARDED_FOR, line.parse().unwrap());
        }
        let trusted = TrustedProxies::new(networks);
        trusted.client(from.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_who_the_client_is() {
        assert_eq!(client(PROXY, &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("fd00::1", &["2001:db8::1"]), "2001:db8::1");
        assert_eq!(client("::ffff:10.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client("192.0.2.9", &["192.0.2.1"]), "192.0.2.9");
    }

    #[test]
    fn the_last_one_that_is_no_proxy_counts() {
        assert_eq!(client(PROXY, &["203.0.113.5, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(
            client(PROXY, &["203.0.113.5", "192.0.2.1, 10.9.9.9"]),
            "192.0.2.1"
        );
        assert_eq!(client(PROXY, &["10.2.2.2,10.3.3.3"]), "10.2.2.2");
    }

    #[test]
    fn what_is_no_address_says_nothing() {
        for line in ["", "unknown", "192.0.2.1, _hidden", "192.0.2.1:80", "é"] {
            assert_eq!(client(PROXY, &[line]), PROXY, "{line}");
        }
        assert_eq!(client(PROXY, &[]), PROXY);
        assert_eq!(client(PROXY, &["unknown, 192.0.2.1"]), "192.0.2.1");
    }
}
