//! When [`Event::Ready`] is due: once the listeners are up, and reservation and registration stand at each
//! relay of the configuration, those that had yet to be found included.

use super::{Relays, relay::Relay};
use crate::{
    connector::{RelayId, context::Context},
    event::Event,
};

/// Which of the pending relays have been found, and whether the event has been emitted.
#[derive(Debug)]
pub(super) struct Readiness {
    places: Vec<Place>,
    is_ready: bool,
}

/// A relay of the configuration that has to be found first, as the application numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Pending,
    /// The relay that was found last; it may have been dropped since.
    Of(RelayId),
    /// What was found is none that can be used, which was reported. Nobody waits for it.
    Unusable,
}

impl Readiness {
    pub(super) fn new(pending: usize) -> Self {
        Self {
            places: vec![Place::Pending; pending],
            is_ready: false,
        }
    }

    pub(super) fn found(&mut self, place: usize, relay: Option<RelayId>) {
        if let Some(place) = self.places.get_mut(place) {
            *place = relay.map_or(Place::Unusable, Place::Of);
        }
    }

    /// Returns the relay that was found for this place, unless it was for another one, too.
    pub(super) fn only_at(&self, place: usize) -> Option<RelayId> {
        let Some(Place::Of(relay)) = self.places.get(place) else {
            return None;
        };
        let mut same = self.places.iter().filter(|at| **at == Place::Of(*relay));
        same.nth(1).is_none().then_some(*relay)
    }

    pub(super) fn is_any_pending(&self) -> bool {
        self.places.contains(&Place::Pending)
    }

    /// Two relays have turned out to be one.
    pub(super) fn merged(&mut self, gone: RelayId, into: RelayId) {
        for place in &mut self.places {
            if *place == Place::Of(gone) {
                *place = Place::Of(into);
            }
        }
    }
}

impl Relays {
    /// Whether every relay has said who is there, or cannot be asked for now.
    pub(in crate::connector) fn have_listed(&self) -> bool {
        let mut relays = self.relays.values();
        !self.readiness.is_any_pending() && relays.all(Relay::has_listed)
    }

    pub(super) fn check_ready(&mut self, cx: &Context<'_>) {
        if self.readiness.is_ready || !cx.listening {
            return;
        }
        let found = |place: &Place| match place {
            Place::Pending => false,
            Place::Of(relay) => self.relays.get(relay).is_some_and(Relay::is_online),
            Place::Unusable => true,
        };
        let mut awaited = self.relays.values().filter(|relay| relay.is_awaited);
        if awaited.all(Relay::is_online) && self.readiness.places.iter().all(found) {
            self.readiness.is_ready = true;
            self.shared.emit(Event::Ready {});
        }
    }
}
