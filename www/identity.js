// Keeps the key of this browser's peer in IndexedDB. Where that is missing or forbidden, as in some private windows,
// every function rejects, and the page goes on with a fresh key.

const DATABASE = "punchline";
const STORE = "identity";
const KEY = "key";
/** How long opening may take: some browsers neither open a database nor say why not. */
const TIMEOUT_MS = 3000;

/** @returns {Promise<Uint8Array | undefined>} */
export async function load(indexedDB = globalThis.indexedDB) {
  const bytes = await withStore(indexedDB, "readonly", (store) => store.get(KEY));
  return bytes instanceof Uint8Array ? bytes : undefined;
}

/** @param {Uint8Array} bytes */
export async function save(bytes, indexedDB = globalThis.indexedDB) {
  await withStore(indexedDB, "readwrite", (store) => store.put(bytes, KEY));
}

export async function forget(indexedDB = globalThis.indexedDB) {
  await withStore(indexedDB, "readwrite", (store) => store.delete(KEY));
}

async function withStore(indexedDB, mode, use) {
  if (!indexedDB) throw new Error("there is no IndexedDB");
  const database = await open(indexedDB);
  try {
    const transaction = database.transaction(STORE, mode);
    const asked = use(transaction.objectStore(STORE));
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = transaction.onerror = () => reject(transaction.error ?? new Error("the database refused"));
    });
    return asked.result;
  } finally {
    database.close();
  }
}

function open(indexedDB) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("the database does not answer")), TIMEOUT_MS);
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE);
    request.onsuccess = () => {
      clearTimeout(timer);
      resolve(request.result);
    };
    request.onerror = () => {
      clearTimeout(timer);
      reject(request.error ?? new Error("the database cannot be opened"));
    };
  });
}
