//! QR codes, which carry a link from a screen to a phone.

use js_sys::{Object, Reflect, Uint8Array};
use qrcodegen::{QrCode, QrCodeEcc};
use wasm_bindgen::{JsValue, prelude::wasm_bindgen};

use crate::error::{Failure, TOO_LONG};

#[wasm_bindgen(typescript_custom_section)]
const QR_CODE: &str = r"
/** A QR code, without the light border that has to surround it. */
export interface QrCode {
    /** Modules on each side. */
    size: number;
    /** Row by row from the top left; 1 is dark. */
    dark: Uint8Array;
}
";

/// Encodes a text. Throws an `Error` named `TooLong` when it does not fit into any QR code.
#[wasm_bindgen(unchecked_return_type = "QrCode")]
pub fn qr(text: &str) -> Result<JsValue, JsValue> {
    let code = QrCode::encode_binary(text.as_bytes(), QrCodeEcc::Medium).map_err(|_| {
        let message = format!("{} bytes are too long for a QR code", text.len());
        Failure::new(TOO_LONG, message)
    })?;
    let size = code.size();
    let modules = (0..size).flat_map(|y| (0..size).map(move |x| (x, y)));
    let dark: Vec<u8> = modules.map(|(x, y)| code.get_module(x, y).into()).collect();
    let object = Object::new();
    Reflect::set(&object, &"size".into(), &size.into())?;
    Reflect::set(&object, &"dark".into(), &Uint8Array::from(&*dark))?;
    Ok(object.into())
}
