// What the ledger does for client sessions (attach: client), which are links of their own.

export interface SessionOperations {
  /** Everything up to h that this link has carried in this epoch is here, or was no entry. Opens no gap. */
  linkRead(args: { link: string; epoch: string; h: number }): void;
  /** Before it is written to the link: this key is the stanza number n of ours. */
  outPlaced(args: { link: string; key: string; n: number }): void;
  /**
   * The server has processed our stanzas up to h (modulo 2^32, as XEP-0198 counts) in the link's last epoch; null where it does not say. The
   * numbers begin anew. Returns the keys that it has processed, until they are forgotten.
   */
  outResolved(args: { link: string; h: number | null }): string[];
  /** The entries of these keys know it themselves now. */
  outForgotten(args: { link: string; keys: string[] }): void;
}
