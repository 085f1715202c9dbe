//! What the relay counts of reservations and circuits, for those who watch it.

use super::{
    Behaviour, Event,
    ledger::{Admitted, Refusal},
    messages::Status,
};
use crate::watch::{By, CircuitResult, ReservationResult};

impl Behaviour {
    pub(super) fn count(&self, event: &Event) {
        let figures = &self.figures;
        match event {
            Event::ReservationAccepted { renewed, .. } => {
                let result = match renewed {
                    true => ReservationResult::Renewed,
                    false => ReservationResult::New,
                };
                figures
                    .reservation_requests
                    .get_or_create(&By(result))
                    .inc();
                self.count_reservations();
            }
            Event::ReservationEnded { .. } => self.count_reservations(),
            Event::CircuitOpened { .. } => {
                figures.circuits_opened.inc();
                figures.circuits.inc();
            }
            Event::CircuitClosed { .. } => drop(figures.circuits.dec()),
            Event::Refused { .. } => {}
        }
    }

    fn count_reservations(&self) {
        let peers = i64::try_from(self.ledger.peers()).unwrap_or(i64::MAX);
        self.figures.reservations.set(peers);
    }

    pub(super) fn count_denied_reservation(&self) {
        let denied = By(ReservationResult::Denied);
        let requests = &self.figures.reservation_requests;
        requests.get_or_create(&denied).inc();
    }

    pub(super) fn count_circuit_request(&self, admitted: &Result<Admitted, Refusal>) {
        let result = match admitted {
            Ok(_) => CircuitResult::Accepted,
            Err(refusal) if refusal.status == Status::NoReservation => CircuitResult::NoReservation,
            Err(_) => CircuitResult::Denied,
        };
        self.figures
            .circuit_requests
            .get_or_create(&By(result))
            .inc();
    }
}
