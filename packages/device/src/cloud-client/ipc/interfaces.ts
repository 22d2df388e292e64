// SPDX-License-Identifier: Apache-2.0

/** Arguments by name, each with its type: `[['path', 's'], ['value', 'v']]`. */
export type BusArguments = readonly (readonly [name: string, type: string])[];

export interface BusMethod {
  readonly in: BusArguments;
  readonly out: BusArguments;
}

/** An interface as it is introspected, called and described. */
export interface BusInterface {
  readonly name: string;
  readonly path: string;
  readonly methods: Readonly<Record<string, BusMethod>>;
  readonly signals: Readonly<Record<string, BusArguments>>;
  /** All can only be read. `changes`: a change is told by PropertiesChanged; `const`: there is none while the service runs; `read`: ask. */
  readonly properties: Readonly<
    Record<string, { readonly type: string; readonly when: 'changes' | 'const' | 'read' }>
  >;
}

export function signatureOf(args: BusArguments): string {
  return args.map(([, type]) => type).join('');
}

/** An app's resources in the cloud. */
export const cloudInterface = {
  name: 'com.mbl.Cloud1',
  path: '/com/mbl/Cloud1',
  methods: {
    Register: { in: [['definition', 's']], out: [['values', 'a{sv}']] },
    Unregister: { in: [['paths', 'as']], out: [] },
    Set: {
      in: [
        ['path', 's'],
        ['value', 'v'],
      ],
      out: [],
    },
    SetAll: { in: [['values', 'a{sv}']], out: [] },
    Get: { in: [['path', 's']], out: [['value', 'v']] },
    GetAll: { in: [], out: [['values', 'a{sv}']] },
  },
  signals: {
    Written: [
      ['path', 's'],
      ['value', 'v'],
    ],
    Executed: [
      ['path', 's'],
      ['arguments', 's'],
    ],
  },
  properties: { ConnectionState: { type: 's', when: 'changes' } },
} as const satisfies BusInterface;

/** The device that an app runs on. */
export const deviceInterface = {
  name: 'com.mbl.Device1',
  path: '/com/mbl/Device1',
  methods: {
    GetTime: {
      in: [],
      out: [
        ['milliseconds', 'x'],
        ['synchronized', 'b'],
      ],
    },
    GetNetwork: { in: [], out: [['interfaces', 'a(ssas)']] },
    DeferRestart: {
      in: [
        ['seconds', 'u'],
        ['reason', 's'],
      ],
      out: [['seconds', 'u']],
    },
  },
  signals: {},
  properties: {
    EndpointName: { type: 's', when: 'const' },
    Machine: { type: 's', when: 'const' },
    Image: { type: 's', when: 'const' },
    BuildId: { type: 's', when: 'const' },
    SystemVersion: { type: 's', when: 'const' },
    KernelVersion: { type: 's', when: 'const' },
    FirmwareVersion: { type: 's', when: 'const' },
  },
} as const satisfies BusInterface;

export const appInterfaces: readonly BusInterface[] = [cloudInterface, deviceInterface];

const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">`;

const standardInterfaces = `  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml_data" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping"/>
  </interface>
  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface_name" type="s"/>
      <arg name="changed_properties" type="a{sv}"/>
      <arg name="invalidated_properties" type="as"/>
    </signal>
  </interface>`;

/** What Introspect answers for a path (D-Bus Specification, "Introspection Data Format"); undefined where no object is at or below it. */
export function introspect(path: string): string | undefined {
  const at = appInterfaces.find((one) => one.path === path);
  const prefix = path === '/' ? '/' : `${path}/`;
  const below = appInterfaces
    .filter((one) => one.path.startsWith(prefix))
    .map((one) => one.path.slice(prefix.length).split('/', 1)[0]);
  if (at === undefined && below.length === 0) return undefined;
  const children = [...new Set(below)].map((name) => `  <node name="${name}"/>`);
  const own = at === undefined ? [] : [interfaceXml(at), standardInterfaces];
  return [doctype, '<node>', ...own, ...children, '</node>', ''].join('\n');
}

/** An interface as XML; names and types of ours need no escapes. */
export function interfaceXml({ name, methods, signals, properties }: BusInterface): string {
  const argument = ([key, type]: readonly [string, string], direction?: 'in' | 'out') =>
    `      <arg name="${key}" type="${type}"${direction === undefined ? '' : ` direction="${direction}"`}/>`;
  const emits = { changes: 'true', const: 'const', read: 'false' } as const;
  return [
    `  <interface name="${name}">`,
    ...Object.entries(methods).flatMap(([member, { in: given, out }]) => [
      `    <method name="${member}">`,
      ...given.map((one) => argument(one, 'in')),
      ...out.map((one) => argument(one, 'out')),
      '    </method>',
    ]),
    ...Object.entries(signals).flatMap(([member, args]) => [
      `    <signal name="${member}">`,
      ...args.map((one) => argument(one)),
      '    </signal>',
    ]),
    ...Object.entries(properties).flatMap(([member, { type, when }]) => [
      `    <property name="${member}" type="${type}" access="read">`,
      `      <annotation name="org.freedesktop.DBus.Property.EmitsChangedSignal" value="${emits[when]}"/>`,
      '    </property>',
    ]),
    '  </interface>',
  ].join('\n');
}
