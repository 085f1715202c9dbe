//! Descriptions and candidates.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use str0m::{
    Candidate, RtcError,
    change::{SdpAnswer, SdpOffer},
    channel::{ChannelConfig, ChannelId as StrId},
    net::Protocol,
};

use super::{
    Connection,
    making::{creds, handshake_channel},
};
use crate::{
    MAX_CANDIDATES,
    backend::{Event, HANDSHAKE, INIT_LABEL},
};

/// What `RTCIceCandidate.toJSON()` has.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    candidate: String,
    #[serde(default)]
    sdp_mid: Option<String>,
    #[serde(default, rename = "sdpMLineIndex")]
    line: Option<u16>,
}

impl Connection {
    fn describe(&mut self, description: String) {
        let mut lines = description.lines();
        let mid = lines.find_map(|line| line.strip_prefix("a=mid:"));
        self.mid = mid.unwrap_or_default().to_owned();
        self.push(Event::Described(description));
    }

    pub(super) fn offer(&mut self) {
        let init = self.offer_channel(ChannelConfig {
            label: INIT_LABEL.into(),
            ..ChannelConfig::default()
        });
        self.init = Some(init);
    }

    /// Offers the channel of a handshake; with this user and password, where they have to be others than ours.
    pub(super) fn offer_direct(&mut self, ufrag: Option<String>) {
        if let Some(ufrag) = ufrag {
            self.links.also(&ufrag);
            let creds = creds(&ufrag, &ufrag);
            self.rtc.direct_api().set_local_ice_credentials(creds);
        }
        let channel = self.offer_channel(handshake_channel());
        self.channels.insert(HANDSHAKE, channel, false);
    }

    fn offer_channel(&mut self, config: ChannelConfig) -> StrId {
        let mut change = self.rtc.sdp_api();
        let channel = change.add_channel_with_config(config);
        if let Some((offer, pending)) = change.apply() {
            self.pending = Some(pending);
            self.describe(offer.to_sdp_string());
        }
        channel
    }

    pub(super) fn answer(&mut self, offer: &str) -> Result<(), RtcError> {
        let (offer, candidates) = without_candidates(offer);
        let offer = SdpOffer::from_sdp_string(checked(&offer)?)?;
        let answer = self.rtc.sdp_api().accept_offer(offer)?;
        self.describe(answer.to_sdp_string());
        self.add_candidates(&candidates);
        Ok(())
    }

    pub(super) fn take_answer(&mut self, answer: &str) -> Result<(), RtcError> {
        let (answer, candidates) = without_candidates(answer);
        let answer = SdpAnswer::from_sdp_string(checked(&answer)?)?;
        if let Some(pending) = self.pending.take() {
            self.rtc.sdp_api().accept_answer(pending, answer)?;
            self.add_candidates(&candidates);
        }
        Ok(())
    }

    fn add_candidates(&mut self, candidates: &[String]) {
        for candidate in candidates.iter().take(MAX_CANDIDATES) {
            self.drain();
            self.add_candidate(candidate);
        }
    }

    pub(super) fn add_json(&mut self, json: &str) {
        if let Ok(Json { candidate, .. }) = serde_json::from_str(json) {
            self.add_candidate(&candidate);
        }
    }

    /// What cannot be read, as a name of mDNS, is ignored: the remote's own checks show where it is.
    fn add_candidate(&mut self, candidate: &str) {
        if let Ok(candidate) = Candidate::from_sdp_string(candidate)
            && (self.guard.0)(candidate.addr())
        {
            self.rtc.add_remote_candidate(candidate);
        }
    }

    /// Offers addresses at which routers let others come to our sockets.
    pub(in crate::platform::native) fn add_outside(&mut self, addresses: &[SocketAddr]) {
        for outside in addresses {
            let ours = self.links.addresses();
            let mut ours = ours.filter(|ours| ours.is_ipv4() == outside.is_ipv4());
            if let Some(base) = ours.next()
                && let Ok(candidate) = Candidate::server_reflexive(*outside, base, Protocol::Udp)
            {
                self.rtc.add_local_candidate(candidate);
            }
        }
        self.drain();
    }

    /// A server sees us at another address than we do.
    pub(super) fn on_seen(&mut self, seen: SocketAddr, base: SocketAddr) {
        if let Ok(candidate) = Candidate::server_reflexive(seen, base, Protocol::Udp) {
            self.offer_candidate(candidate);
        }
    }

    /// A server carries to us what comes to an address of its own.
    pub(super) fn on_relayed(&mut self, at: SocketAddr, from: SocketAddr) {
        if let Ok(candidate) = Candidate::relayed(at, from, Protocol::Udp) {
            self.offer_candidate(candidate);
        }
    }

    fn offer_candidate(&mut self, candidate: Candidate) {
        let Some(candidate) = self.rtc.add_local_candidate(candidate) else {
            return;
        };
        let json = Json {
            candidate: candidate.to_sdp_string(),
            sdp_mid: Some(self.mid.clone()),
            line: Some(0),
        };
        self.advance();
        if let Ok(json) = serde_json::to_string(&json) {
            self.push(Event::Candidate(json));
        }
    }
}

/// The longest user of ICE that a remote may have. str0m 0.25 takes any, and panics when the users of both sides, its own
/// of up to [`MAX_USER`] characters, do not fit into the 128 characters that it writes into a packet.
const MAX_USER: usize = 60;

/// Refuses a description whose users are too long.
fn checked(description: &str) -> Result<&str, RtcError> {
    let mut users = description
        .lines()
        .filter_map(|l| l.strip_prefix("a=ice-ufrag:"));
    match users.all(|user| user.trim().len() <= MAX_USER) {
        true => Ok(description),
        false => Err(RtcError::RemoteSdp(
            "the user of ICE is too long".to_owned(),
        )),
    }
}

/// A description, and the candidates in it, which have to be looked at one by one.
fn without_candidates(description: &str) -> (String, Vec<String>) {
    let mut rest = String::with_capacity(description.len());
    let mut candidates = Vec::new();
    for line in description.lines() {
        match line.strip_prefix("a=candidate:") {
            Some(candidate) => candidates.push(format!("candidate:{candidate}")),
            None => rest.extend([line, "\r\n"]),
        }
    }
    (rest, candidates)
}
