// SPDX-License-Identifier: Apache-2.0
/* The app's resources in the cloud, by D-Bus and nothing but C: docs/reference/app-bus.md. */

/* Sets a resource that app.yaml lists; connects where that is needed. -1: the device is not there (yet), or refused; it said why to standard error. */
int cloud_set(const char *path, double value);
