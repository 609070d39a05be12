// @ts-check
// What a scan screen keeps on its device: the open basket, and baskets on their way, sent in order until answered.

const NAME = "suyuan-desk";
const BASKETS = "baskets", KEPT = "kept";
const KEEP_SENT = 20;
// Baskets that stay to be looked at after they were sent.

/**
 * @typedef {{id: string, status: string, tone: string, meaning: string, meaning_zh: string, next_action: string, next_action_zh: string, alert: string}} Result
 * @typedef {{number?: number, id: string, institution: string, body: string, state: "queued" | "sent" | "failed", made: string,
 *   rows: {id: string, code: string, kind: string, undone?: boolean}[], undoes?: string, results?: Result[], why?: string}} Basket
 */

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

export class Store {
  /** @param {IDBDatabase} database */
  constructor(database) {
    this.database = database;
  }

  static async open() {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(BASKETS, { keyPath: "number", autoIncrement: true });
      request.result.createObjectStore(KEPT);
    };
    const database = await done(request);
    await navigator.storage?.persist?.().catch(() => false);
    return new Store(database);
  }

  /** Write, and come back when it is on the disk. @param {string} store @param {(store: IDBObjectStore) => IDBRequest} act */
  async write(store, act) {
    const transaction = this.database.transaction(store, "readwrite", { durability: "strict" });
    const ended = new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(undefined);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
    const result = await done(act(transaction.objectStore(store)));
    await ended;
    return result;
  }

  /** @param {string} name */
  async kept(name) {
    return done(this.database.transaction(KEPT).objectStore(KEPT).get(name));
  }

  /** @param {string} name @param {unknown} value */
  async keep(name, value) {
    await this.write(KEPT, (store) => store.put(value, name));
  }

  /** All baskets, oldest first. @returns {Promise<Basket[]>} */
  async baskets() {
    return done(this.database.transaction(BASKETS).objectStore(BASKETS).getAll());
  }

  /** @param {Basket} basket */
  async put(basket) {
    await this.write(BASKETS, (store) => store.put(basket));
  }

  /** The basket goes on its way and the open one is empty, in one step: no scan is in both or in neither.
   * @param {Basket} basket @param {string} name @param {unknown} emptied */
  async queue(basket, name, emptied) {
    const transaction = this.database.transaction([BASKETS, KEPT], "readwrite", { durability: "strict" });
    transaction.objectStore(BASKETS).put(basket);
    transaction.objectStore(KEPT).put(emptied, name);
    await new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(undefined);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  }

  /** @param {Basket} basket */
  async remove(basket) {
    await this.write(BASKETS, (store) => store.delete(/** @type {number} */ (basket.number)));
  }

  /** Forget what was sent: all but the last few, or all of it. @param {number} most */
  async forget(most = KEEP_SENT) {
    const sent = (await this.baskets()).filter((one) => one.state === "sent");
    for (const one of sent.slice(0, Math.max(0, sent.length - most))) {
      await this.remove(one);
    }
  }
}

/** The same where a browser keeps nothing: for as long as the page is open. */
export class MemoryStore {
  constructor() {
    /** @type {Map<string, unknown>} */
    this.values = new Map();
    /** @type {Basket[]} */
    this.all = [];
  }

  /** @param {string} name @returns {Promise<any>} */
  async kept(name) { return structuredClone(this.values.get(name)); }

  /** @param {string} name @param {unknown} value */
  async keep(name, value) { this.values.set(name, structuredClone(value)); }

  async baskets() { return structuredClone(this.all); }

  /** @param {Basket} basket */
  async put(basket) {
    basket.number ??= this.all.length + 1;
    this.all = [...this.all.filter((one) => one.number !== basket.number), structuredClone(basket)].sort((a, b) => Number(a.number) - Number(b.number));
  }

  /** @param {Basket} basket @param {string} name @param {unknown} emptied */
  async queue(basket, name, emptied) {
    await this.put(basket);
    await this.keep(name, emptied);
  }

  /** @param {Basket} basket */
  async remove(basket) { this.all = this.all.filter((one) => one.number !== basket.number); }

  async forget() { /* a page that is closed forgets everything */ }
}

const FIRST_WAIT_MS = 1000, LONGEST_WAIT_MS = 60_000;

/** Sends what is queued, one basket after the other, in order; never two at once, not even from two windows. */
export class Sender {
  /** @param {Store | MemoryStore} store @param {() => string} institution Whose baskets may be sent now; empty for none. @param {(event: "changed" | "offline" | "online" | "signed_out") => void} tell */
  constructor(store, institution, tell) {
    this.store = store;
    this.institution = institution;
    this.tell = tell;
    this.wait = FIRST_WAIT_MS;
    this.running = false;
    this.again = false;
    /** @type {number | undefined} */
    this.timer = undefined;
  }

  /** Send now, if there is something and somebody to send for. */
  async drain() {
    // What was queued while the last look found nothing is looked for once more.
    this.again = true;
    if (this.running) return;
    this.running = true;
    clearTimeout(this.timer);
    try {
      while (this.again) {
        this.again = false;
        const alone = navigator.locks;
        await (alone ? alone.request("suyuan-desk", () => this.sendAll()) : this.sendAll());
      }
    } finally {
      this.running = false;
    }
  }

  async sendAll() {
    for (;;) {
      const own = this.institution();
      const next = own && (await this.store.baskets()).find((one) => one.state === "queued" && one.institution === own);
      if (!next || !(await this.send(next))) return;
    }
  }

  /** One basket; answers whether to go on with the next. @param {Basket} basket */
  async send(basket) {
    let answer;
    try {
      answer = await fetch("/api/v1/desk/send", { method: "POST", headers: { "content-type": "application/json" }, body: basket.body });
    } catch {
      return this.later("offline");
    }
    if (answer.status === 401) {
      this.tell("signed_out");
      return false;
    }
    if (answer.status === 429 || answer.status >= 500) return this.later("online");
    const told = await answer.json().catch(() => null);
    // Whoever stands between and answers something else, as networks of guests do, has taken nothing.
    if (!told || (answer.ok && !Array.isArray(told.results))) return this.later("online");
    this.wait = FIRST_WAIT_MS;
    if (answer.ok) await this.store.put({ ...basket, state: "sent", results: told.results });
    else await this.store.put({ ...basket, state: "failed", why: [told.title, told.detail, told.do].filter(Boolean).join(" ") });
    await this.store.keep("synced", new Date().toISOString());
    await this.store.forget();
    this.tell("online");
    this.tell("changed");
    return true;
  }

  /** @param {"offline" | "online"} how */
  later(how) {
    this.tell(how);
    clearTimeout(this.timer);
    this.timer = window.setTimeout(() => this.drain(), this.wait);
    this.wait = Math.min(this.wait * 2, LONGEST_WAIT_MS);
    return false;
  }
}
