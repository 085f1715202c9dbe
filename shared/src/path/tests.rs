use super::*;

#[test]
fn transports_and_paths_are_shown_as_they_are_written() {
    use Transport as T;
    for transport in [
        T::Quic,
        T::Tcp,
        T::Webrtc,
        T::WebrtcDirect,
        T::Ws,
        T::Circuit,
    ] {
        let json = serde_json::to_string(&transport).unwrap();
        assert_eq!(json, format!("\"{transport}\""));
    }
    for path in [Path::Direct, Path::Relayed] {
        assert_eq!(serde_json::to_string(&path).unwrap(), format!("\"{path}\""));
    }
}
