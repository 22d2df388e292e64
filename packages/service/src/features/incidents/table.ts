// SPDX-License-Identifier: Apache-2.0

export interface IncidentTables {
  incidents: IncidentRow;
}

interface IncidentRow {
  device_id: string;
  incident_id: string;
  created_at: Date;
}
