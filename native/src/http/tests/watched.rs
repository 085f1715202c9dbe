//! Whether a relay is ready, and who is answered.

use super::*;
use crate::watch::State;

#[tokio::test]
async fn readyz_says_how_far_the_relay_is() {
    let server = Server::start(MANY).await;
    for (state, status, text) in [
        (State::Starting, 503, "some listener has no address yet"),
        (State::Ready, 200, "ready"),
        (State::Stopping, 503, "is being stopped"),
    ] {
        server.watch.set_state(state);
        let answer = server.get("/readyz").await;
        assert_eq!(answer.status, status, "{state:?}");
        assert!(answer.text().contains(text), "{}", answer.text());
        assert_eq!(server.get("/healthz").await.status, 200, "{state:?}");
    }
}

#[tokio::test]
async fn answers_are_counted_by_the_first_digit_of_their_status() {
    let server = Server::start(MANY).await;
    for path in ["/healthz", "/metrics", "/nothing", "/readyz"] {
        server.get(path).await;
    }
    let passed_on = "x-forwarded-for: 203.0.113.7\r\n";
    assert_eq!(server.ask("GET", "/metrics", passed_on).await.status, 403);
    let text = server.get("/metrics").await.text().to_owned();
    for (status, count) in [("2xx", 2), ("3xx", 0), ("4xx", 2), ("5xx", 1)] {
        let line = format!("punchline_relay_http_requests_total{{status=\"{status}\"}} {count}\n");
        assert!(text.contains(&line), "{line}{text}");
    }
}
