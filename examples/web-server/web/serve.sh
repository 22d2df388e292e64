#!/usr/bin/busybox sh
# SPDX-License-Identifier: Apache-2.0
# The first process of an app is not ended by a signal that it has no handler for.
trap 'exit 0' TERM
busybox httpd -f -v -p 8080 -h /web/pages &
wait $!
