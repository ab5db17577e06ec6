// What servers send us: the stanzas that hostile ones are made of.

export const header = `<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s1'>`;

export const stanzas = [
  `<message xmlns='jabber:client' from='alice@example.com/a' to='bob@example.com' id='m1' type='chat'><body xml:lang='en'>Hi &amp; bye</body><thread parent='t0'>t1</thread></message>`,
  `<message><d xmlns='urn:crossfade:attach:1' epoch='E' n='18' to='bob@example.com/mqtt' seen='1' sid='s'><message xmlns='jabber:client' from='a@b/c'><received xmlns='urn:xmpp:receipts' id='m1'/></message></d></message>`,
  `<iq type='result' id='1'><attached xmlns='urn:crossfade:attach:1' jid='bob@example.com/mqtt'/></iq>`,
  `<presence><x:y xmlns:x='urn:x' x:z='1'><![CDATA[<&]]></x:y></presence>`,
];
