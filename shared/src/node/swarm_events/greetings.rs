//! Greetings: received, answered, replied to.

use libp2p::{request_response as rr, swarm::ConnectionId};

use crate::{connector::Input, node::event_loop::EventLoop, protocols::greet};

impl EventLoop {
    pub(in crate::node) fn on_greet(&mut self, event: greet::Event) {
        match event {
            rr::Event::Message {
                peer,
                connection_id,
                message:
                    rr::Message::Request {
                        request, channel, ..
                    },
            } => {
                // Greetings are small talk: with a full queue they are not answered.
                if !self.events.has_room() {
                    return;
                }
                let Some(connection) = self.connections.get_mut(&connection_id) else {
                    return;
                };
                if connection.observed.is_none() && connection.unanswered.is_none() {
                    connection.unanswered = Some(channel);
                } else {
                    self.answer_greeting(connection_id, channel);
                }
                self.input(Input::Greeting {
                    peer,
                    message: request.message,
                });
            }
            rr::Event::Message {
                peer,
                message: rr::Message::Response { response, .. },
                ..
            } => match response.address() {
                Some(address) => self.input(Input::GreetingReply {
                    peer,
                    message: response.message,
                    address,
                }),
                None => tracing::warn!(%peer, "its greeting reply has no valid address"),
            },
            rr::Event::OutboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, "greeting not answered: {error}");
            }
            rr::Event::InboundFailure { peer, error, .. } => {
                tracing::debug!(%peer, "greeting: {error}");
            }
            rr::Event::ResponseSent { .. } => {}
        }
    }

    /// Answers a greeting: where the greeter sees us, and where we see it.
    pub(in crate::node) fn answer_greeting(
        &mut self,
        conn: ConnectionId,
        channel: rr::ResponseChannel<greet::Response>,
    ) {
        let Some(connection) = self.connections.get(&conn) else {
            return;
        };
        let me = connection.observed.as_ref();
        let message = me.map_or_else(
            || "Hello back".into(),
            |address| format!("Hello back from {address}"),
        );
        let response = greet::Response::new(message, &connection.address);
        let greet = &mut self.swarm.behaviour_mut().0.greet;
        if greet.send_response(channel, response).is_err() {
            tracing::debug!(%conn, "the greeter has gone");
        }
    }
}
