//! Promises for JavaScript.

use futures::future::LocalBoxFuture;
use js_sys::Promise;
use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::future_to_promise;

use crate::{error::Failure, types::to_js};

/// A promise of something that is known already.
pub(crate) fn settled<T: Serialize>(result: Result<T, Failure>) -> Promise {
    match result.and_then(|value| Ok(to_js(&value)?)) {
        Ok(value) => Promise::resolve(&value),
        Err(e) => e.rejected(),
    }
}

/// A promise of what a future results in.
///
/// Boxed, all futures are of one type, and what a promise needs is compiled once. That is worth a kilobyte.
pub(crate) fn later(future: impl Future<Output = Result<JsValue, JsValue>> + 'static) -> Promise {
    let future: LocalBoxFuture<'static, _> = Box::pin(future);
    future_to_promise(future)
}
