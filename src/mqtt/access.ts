// What an app may read and write: the access rules that Mosquitto gets as patterns, for the embedded broker. Pure.

/** `pattern read {root}/%u/in/#`, `pattern readwrite {root}/%u/presence/#`; `username` is the topic's user level. */
export function mayRead(root: string, username: string, topic: string): boolean {
  return isBelow(topic, `${root}/${username}/in`) || isBelow(topic, `${root}/${username}/presence`);
}

/** `pattern write {root}/%u/out/#`, `pattern readwrite {root}/%u/presence/#`. */
export function mayWrite(root: string, username: string, topic: string): boolean {
  return isBelow(topic, `${root}/${username}/out`) || isBelow(topic, `${root}/${username}/presence`);
}

/** The same as lines of a Mosquitto acl_file; the gateway's account has all rights under the root, and only writes copies of users in `shadow`. */
export function mosquittoAcl({
  root,
  shadowRoot,
  gateway,
}: {
  root: string;
  shadowRoot: string;
  gateway: string;
}): string {
  return [
    `user ${gateway}`,
    `topic readwrite ${root}/#`,
    `topic write ${shadowRoot}/#`,
    'topic read $SYS/#',
    '',
    `pattern read ${root}/%u/in/#`,
    `pattern write ${root}/%u/out/#`,
    `pattern readwrite ${root}/%u/presence/#`,
    '',
  ].join('\n');
}

/** As a filter ending in `/#`: the level itself too [MQTT-4.7.1-2]. */
function isBelow(topic: string, level: string): boolean {
  return topic === level || topic.startsWith(`${level}/`);
}
