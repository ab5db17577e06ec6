// Every XML namespace the gateway knows by name, in one place.

/** Binds the `xml:` prefix; Namespaces in XML §3. */
export const NS_XML = 'http://www.w3.org/XML/1998/namespace';
export const NS_XMLNS = 'http://www.w3.org/2000/xmlns/';

/** RFC 6120. */
export const NS_STREAMS = 'http://etherx.jabber.org/streams';
export const NS_STREAM_ERRORS = 'urn:ietf:params:xml:ns:xmpp-streams';
export const NS_STANZA_ERRORS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
export const NS_CLIENT = 'jabber:client';
export const NS_TLS = 'urn:ietf:params:xml:ns:xmpp-tls';
export const NS_SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
export const NS_BIND = 'urn:ietf:params:xml:ns:xmpp-bind';

/** XEP-0198. */
export const NS_SM = 'urn:xmpp:sm:3';

/** XEP-0114. */
export const NS_COMPONENT = 'jabber:component:accept';

/** docs/attach-protocol.md */
export const NS_ATTACH = 'urn:crossfade:attach:1';

/** RFC 6121 §2. */
export const NS_ROSTER = 'jabber:iq:roster';

/** XEP-0199, XEP-0030, XEP-0092, XEP-0202. */
export const NS_PING = 'urn:xmpp:ping';
export const NS_DISCO_INFO = 'http://jabber.org/protocol/disco#info';
export const NS_DISCO_ITEMS = 'http://jabber.org/protocol/disco#items';
export const NS_CAPS = 'http://jabber.org/protocol/caps';
export const NS_VERSION = 'jabber:iq:version';
export const NS_TIME = 'urn:xmpp:time';

/** XEP-0203, XEP-0359, XEP-0280. */
export const NS_DELAY = 'urn:xmpp:delay';
/** Added by ejabberd beside the stanza-id. */
export const NS_ARCHIVED = 'urn:xmpp:mam:tmp';
export const NS_SID = 'urn:xmpp:sid:0';
export const NS_CARBONS = 'urn:xmpp:carbons:2';
/** XEP-0297, XEP-0313, XEP-0334. */
export const NS_FORWARD = 'urn:xmpp:forward:0';
export const NS_MAM = 'urn:xmpp:mam:2';
/** XEP-0004, XEP-0059. */
export const NS_DATA_FORMS = 'jabber:x:data';
export const NS_RSM = 'http://jabber.org/protocol/rsm';
export const NS_HINTS = 'urn:xmpp:hints';

/** XEP-0054, XEP-0153, XEP-0060, XEP-0084. */
export const NS_VCARD = 'vcard-temp';
export const NS_VCARD_UPDATE = 'vcard-temp:x:update';
export const NS_PUBSUB = 'http://jabber.org/protocol/pubsub';
export const NS_AVATAR_DATA = 'urn:xmpp:avatar:data';
export const NS_AVATAR_METADATA = 'urn:xmpp:avatar:metadata';
