use ::stun::message::BINDING_ERROR;

use super::*;
use crate::platform::native::endpoint::Endpoint;

const SEEN: &str = "203.0.113.9:4242";

fn links() -> Links {
    let address = "127.0.0.1:0".parse().expect("an address");
    let endpoint = Endpoint::bind(address).expect("a socket");
    Links::share(vec![endpoint.into()], "user").expect("an address")
}

/// What a server at the question's goal sends back.
fn answer(questions: &Questions, at: usize, kind: ::stun::message::MessageType) -> Packet {
    let question = &questions.open[at];
    let seen: SocketAddr = SEEN.parse().expect("an address");
    let mut message = Message::new();
    let id = Box::new(question.message.transaction_id);
    let address = XorMappedAddress {
        ip: seen.ip(),
        port: seen.port(),
    };
    message
        .build(&[id, Box::new(kind), Box::new(address)])
        .expect("a message");
    Packet {
        from: question.to,
        to: question.from,
        bytes: message.raw.into(),
    }
}

fn servers(texts: &[&str]) -> Vec<SocketAddr> {
    texts
        .iter()
        .map(|s| s.parse().expect("an address"))
        .collect()
}

#[tokio::test]
async fn an_answer_says_where_we_are_seen_once() {
    let links = links();
    let mut questions = Questions::new(
        &links,
        &servers(&["127.0.0.1:9", "127.0.0.1:10"]),
        Instant::now(),
    );
    let packet = answer(&questions, 1, BINDING_SUCCESS);
    let ours = links.addresses().next().expect("a socket");
    assert_eq!(
        questions.answer(&packet),
        Some((SEEN.parse().expect("an address"), ours))
    );
    assert_eq!(questions.answer(&packet), None);
    assert_eq!(questions.open.len(), 1);
}

#[tokio::test]
async fn what_answers_no_question_is_not_believed() {
    let links = links();
    let mut questions = Questions::new(&links, &servers(&["127.0.0.1:9"]), Instant::now());
    let refused = answer(&questions, 0, BINDING_ERROR);
    let mut of_another = answer(&questions, 0, BINDING_SUCCESS);
    of_another.from.set_port(11);
    let mut of_another_question = answer(&questions, 0, BINDING_SUCCESS);
    let mut bytes = of_another_question.bytes.to_vec();
    bytes[12] ^= 1;
    of_another_question.bytes = bytes.into();
    let mut cut = answer(&questions, 0, BINDING_SUCCESS);
    cut.bytes.truncate(22);
    for packet in [refused, of_another, of_another_question, cut] {
        assert_eq!(questions.answer(&packet), None, "{packet:?}");
    }
}

#[tokio::test]
async fn only_servers_of_the_own_family_are_asked() {
    let questions = Questions::new(&links(), &servers(&["[::1]:9"]), Instant::now());
    assert!(questions.open.is_empty());
}

#[tokio::test]
async fn questions_are_repeated_more_and_more_slowly_and_then_no_more() {
    let mut links = links();
    let mut now = Instant::now();
    let mut questions = Questions::new(&links, &servers(&["127.0.0.1:9"]), now);
    let mut waits = Vec::new();
    while let Some(next) = questions.next {
        waits.push(next - now);
        now = next;
        questions.ask(&mut links, now - Duration::from_millis(1));
        assert_eq!(questions.next, Some(next), "it is not due");
        questions.ask(&mut links, now);
    }
    let expected = [0, 500, 1_000, 2_000, 4_000].map(Duration::from_millis);
    assert_eq!(waits, expected);
}
