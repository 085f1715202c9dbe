use super::*;

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    let ips = texts.iter().map(|ip| ip.parse().expect("an address"));
    ips.collect()
}

#[test]
fn addresses_that_others_can_reach_are_used_each_once() {
    let all = ips(&[
        "127.0.0.1",
        "::1",
        "fe80::1",
        "169.254.0.1",
        "10.0.0.2",
        "2001:db8::2",
        "10.0.0.2",
    ]);
    assert_eq!(useful(all), ips(&["10.0.0.2", "2001:db8::2"]));
}

#[test]
fn a_machine_without_a_network_reaches_itself() {
    assert_eq!(useful(ips(&["127.0.0.1", "fe80::1"])), ips(&["127.0.0.1"]));
}

#[test]
fn many_interfaces_are_not_all_offered() {
    let many: Vec<_> = (0..100).map(|n| IpAddr::from([10, 0, 0, n])).collect();
    assert_eq!(useful(many).len(), MAX_ADDRESSES);
}
