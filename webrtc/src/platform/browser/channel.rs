//! A data channel of a browser.

use std::rc::Weak;

use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{MessageEvent, RtcDataChannel, RtcDataChannelType};

use super::Shared;
use crate::{
    MAX_BUFFERED,
    backend::{ChannelId, Event},
};

#[derive(Debug)]
pub(super) struct Channel {
    channel: RtcDataChannel,
    /// For every event: each closure of its own would cost more than telling them apart.
    _on_event: Closure<dyn FnMut(web_sys::Event)>,
}

impl Channel {
    pub(super) fn new(id: ChannelId, channel: RtcDataChannel, shared: Weak<Shared>) -> Self {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(u32::try_from(MAX_BUFFERED / 2).unwrap_or(0));
        let on_event = Closure::new(callback(id, shared));
        let this = Self {
            channel,
            _on_event: on_event,
        };
        this.bind(Some(this._on_event.as_ref().unchecked_ref()));
        this
    }

    fn bind(&self, function: Option<&js_sys::Function>) {
        self.channel.set_onopen(function);
        self.channel.set_onmessage(function);
        self.channel.set_onbufferedamountlow(function);
        self.channel.set_onclose(function);
    }

    pub(super) fn send(&self, message: &[u8]) -> Result<(), JsValue> {
        self.channel.send_with_u8_array(message)
    }

    pub(super) fn buffered(&self) -> usize {
        self.channel.buffered_amount() as usize
    }

    pub(super) fn close(&self) {
        self.channel.close();
    }
}

/// What the browser calls about the channel.
fn callback(id: ChannelId, shared: Weak<Shared>) -> impl FnMut(web_sys::Event) {
    move |event: web_sys::Event| {
        let event = match event.type_().as_str() {
            "open" => Event::ChannelReady(id),
            "bufferedamountlow" => Event::Drained(id),
            "close" => Event::ChannelClosed(id),
            _ => {
                let data = event.unchecked_into::<MessageEvent>().data();
                let Ok(data) = data.dyn_into::<ArrayBuffer>() else {
                    return;
                };
                Event::Message(id, Uint8Array::new(&data).to_vec().into())
            }
        };
        if let Some(shared) = shared.upgrade() {
            shared.push(event);
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Unbound before it goes, as the browser would call what is not there.
        self.bind(None);
        self.channel.close();
    }
}
