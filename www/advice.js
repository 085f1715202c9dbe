// What a person can do about a relay that cannot be used, by the code of the reason. The codes are the `Reason` of the
// package's types; what went wrong stands in the text beside the code.

const ADDRESS = "Check the relay's address in the settings.";
const RUNNING = "Is the relay running? A firewall or proxy may also block WebSockets.";
const NO_RELAY = "What answers there is no relay. Check the address.";
const FULL = "It may have room again later; until then, use another relay.";
const OPERATOR = "Ask whoever runs the relay, or use another one.";

/** Every code that can come with a relay. */
export const ADVICE = {
  "invalid-address": ADDRESS,
  "no-transport": "A browser needs an address with /ws, /wss or /webrtc-direct.",
  "no-address": ADDRESS,
  "name-not-found": "Is the name in the relay's address right?",
  "connection-refused": RUNNING,
  "unreachable": RUNNING,
  "transport-failed": RUNNING,
  "no-answer": RUNNING,
  "wrong-peer": "Another peer id answers there than the address names. Copy the relay's address again, or reload the page.",
  "connection-closed": RUNNING,
  "too-many-connections": FULL,
  "aborted": RUNNING,
  "too-many": "Too much is being tried at once in this tab. It goes on by itself.",
  "incompatible": NO_RELAY,
  "protocol-violation": "What answers there does not behave as a relay. Check the address.",
  "not-a-relay": NO_RELAY,
  "reservation-refused": OPERATOR,
  "namespace-refused": "Choose another room in the settings.",
  "rendezvous-refused": OPERATOR,
  "rendezvous-full": FULL,
  "no-external-address": "The relay has given no address to reach this tab at. It is asked again by itself.",
  "network-changed": "It is tried again over the new network.",
  "other": RUNNING,
};

/** What to do; a code that this page does not know yet is like the most common one. */
export function advice(code) {
  return Object.hasOwn(ADVICE, code) ? ADVICE[code] : RUNNING;
}
