//! Errors as JavaScript gets them: an `Error` with a message for a person and a name for a program.

use std::fmt::Display;

use js_sys::{Error, Promise};
use punchline::error::{SendError, StartError, Stopped};
use wasm_bindgen::JsValue;

/// Something that went wrong, on its way to JavaScript.
#[derive(Debug)]
pub(crate) struct Failure {
    name: &'static str,
    message: String,
}

/// An argument is of the wrong type, or has a value that is not allowed.
pub(crate) const BAD_ARGUMENT: &str = "BadArgument";
/// The event stream has been handed out before.
pub(crate) const EVENTS_TAKEN: &str = "EventsTaken";
/// The peer's code has died of a bug.
pub(crate) const PANICKED: &str = "Panicked";
const CANNOT_START: &str = "CannotStart";
const STOPPED: &str = "Stopped";
/// A text is too long for a message or a QR code.
pub(crate) const TOO_LONG: &str = "TooLong";

impl Failure {
    pub(crate) fn new(name: &'static str, message: impl Display) -> Self {
        Self {
            name,
            message: message.to_string(),
        }
    }

    /// A promise that is rejected with this.
    pub(crate) fn rejected(self) -> Promise {
        Promise::reject(&self.into())
    }
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        let error = Error::new(&failure.message);
        error.set_name(failure.name);
        error.into()
    }
}

impl From<SendError> for Failure {
    fn from(error: SendError) -> Self {
        let name = match error {
            SendError::TooLong(_) => TOO_LONG,
            SendError::UnknownPeer(_) => "UnknownPeer",
            SendError::NotInRoom(_) => "NotInRoom",
            SendError::OutboxFull(_) => "OutboxFull",
            SendError::Stopped => STOPPED,
        };
        Self::new(name, error)
    }
}

impl From<Stopped> for Failure {
    fn from(error: Stopped) -> Self {
        Self::new(STOPPED, error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let name = match error {
            StartError::Namespace(_) => BAD_ARGUMENT,
            StartError::Listen { .. } | StartError::Transport { .. } => CANNOT_START,
        };
        Self::new(name, error)
    }
}

/// A value cannot become a JavaScript object, which would be a bug.
impl From<serde_wasm_bindgen::Error> for Failure {
    fn from(error: serde_wasm_bindgen::Error) -> Self {
        Self::new("Error", error)
    }
}
