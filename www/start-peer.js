// Starts a peer with the identity that this browser keeps, or with a fresh one, and says which of them it was.

import * as identity from "./identity.js";
import { oneLine } from "./text.js";

export const NO_STORAGE = "This browser does not let the page store anything, as in a private window. You have a fresh identity, which is gone when this tab is closed.";
export const TEMPORARY = "This tab has a temporary identity, which is gone when it is closed.";
const KEPT = "Kept in this browser.";

/**
 * @param {typeof import("./pkg/web.js").Peer} Peer
 * @returns {Promise<{peer: object, note: string, notice?: string}>} `note` says what kind of identity this is; `notice`
 *   is something that a person should know at once
 */
export async function startPeer(Peer, config, { temporary, indexedDB }) {
  if (temporary) return { peer: await Peer.start(config), note: TEMPORARY, notice: TEMPORARY };
  let kept;
  try {
    kept = await identity.load(indexedDB);
  } catch {
    return { peer: await Peer.start(config), note: NO_STORAGE, notice: NO_STORAGE };
  }
  return kept ? startKept(Peer, config, kept, indexedDB) : startFresh(Peer, config, indexedDB);
}

async function startKept(Peer, config, kept, indexedDB) {
  try {
    return { peer: await Peer.start({ ...config, identity: kept }), note: KEPT };
  } catch (error) {
    // If the key was damaged, a fresh one works; any other fault shows again.
    const fresh = await startFresh(Peer, config, indexedDB);
    const notice = `The identity that this browser kept cannot be used (${oneLine(error.message)}). You have a new one.`;
    return { ...fresh, notice };
  }
}

async function startFresh(Peer, config, indexedDB) {
  const peer = await Peer.start(config);
  try {
    await identity.save(peer.identity(), indexedDB);
    return { peer, note: KEPT };
  } catch {
    return { peer, note: NO_STORAGE, notice: NO_STORAGE };
  }
}
