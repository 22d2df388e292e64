// SPDX-License-Identifier: Apache-2.0

export interface IncidentTables {
  incidents: IncidentRow;
}

interface IncidentRow {
  device_id: string;
  incident_id: string;
  /** When an event was written for it last. */
  created_at: Date;
  /** When the device was seen to forget it; null before that. */
  forgotten_at: Date | null;
}
