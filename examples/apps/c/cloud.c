// SPDX-License-Identifier: Apache-2.0
/* As much of D-Bus as an app needs that sets numbers (D-Bus Specification, "Message Protocol"). */
#include "cloud.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef BUS_SOCKET
#define BUS_SOCKET "/run/dbus/system_bus_socket"
#endif

#define BUS "org.freedesktop.DBus", "/org/freedesktop/DBus"
#define CLOUD "com.mbl.Cloud1", "/com/mbl/Cloud1"

enum { call = 1, answer = 2, error = 3, room = 1024 };

/* Values as D-Bus marshals them, little-endian as this processor: each begins at a multiple of its size. */
struct bytes {
  unsigned char at[room];
  size_t length;
};

static int bus = -1;
static uint32_t serial;

static void align(struct bytes *to, size_t size) {
  while (to->length % size != 0 && to->length < room)
    to->at[to->length++] = 0;
}

static void put(struct bytes *to, const void *value, size_t size, size_t alignment) {
  align(to, alignment);
  if (size > room - to->length)
    return;
  memcpy(to->at + to->length, value, size);
  to->length += size;
}

static void put_number(struct bytes *to, uint32_t value) {
  put(to, &value, 4, 4);
}

static void put_string(struct bytes *to, const char *text) {
  put_number(to, strlen(text));
  put(to, text, strlen(text) + 1, 1);
}

static void put_signature(struct bytes *to, const char *text) {
  unsigned char length = strlen(text);
  put(to, &length, 1, 1);
  put(to, text, length + 1, 1);
}

static void put_field(struct bytes *to, unsigned char code, const char *type, const char *value) {
  align(to, 8);
  put(to, &code, 1, 1);
  put_signature(to, type);
  if (*type == 'g')
    put_signature(to, value);
  else
    put_string(to, value);
}

static int read_all(unsigned char *to, size_t size) {
  while (size > 0) {
    ssize_t got = read(bus, to, size);
    if (got <= 0)
      return -1;
    to += got;
    size -= got;
  }
  return 0;
}

/* Reads messages until the answer comes; signals are passed over. */
static int read_answer(const char *member) {
  for (;;) {
    unsigned char head[16], byte;
    char said[200] = "";
    uint32_t size, fields;
    if (read_all(head, sizeof head) != 0)
      return -1;
    memcpy(&size, head + 4, 4);
    memcpy(&fields, head + 12, 4);
    fields = (fields + 7) / 8 * 8;
    for (uint32_t i = 0; i < fields + size; i++) {
      if (read_all(&byte, 1) != 0)
        return -1;
      if (i >= fields + 4 && i - fields - 4 < sizeof said - 1)
        said[i - fields - 4] = byte;
    }
    if (head[1] == error) {
      fprintf(stderr, "%s: %s\n", member, said);
      return -1;
    }
    if (head[1] == answer)
      return 0;
  }
}

static int do_call(const char *name, const char *path, const char *member, const char *types,
                   const struct bytes *body) {
  struct bytes fields = {.length = 0}, message = {.at = {'l', call, 0, 1}, .length = 4};
  put_field(&fields, 1, "o", path);
  put_field(&fields, 2, "s", name);
  put_field(&fields, 3, "s", member);
  put_field(&fields, 6, "s", name);
  if (*types != '\0')
    put_field(&fields, 8, "g", types);
  put_number(&message, body->length);
  put_number(&message, ++serial);
  put_number(&message, fields.length);
  put(&message, fields.at, fields.length, 1);
  align(&message, 8);
  put(&message, body->at, body->length, 1);
  if (send(bus, message.at, message.length, MSG_NOSIGNAL) != (ssize_t)message.length)
    return -1;
  return read_answer(member);
}

static int greet(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = BUS_SOCKET};
  struct timeval patience = {.tv_sec = 30};
  struct bytes none = {.length = 0}, all = {.length = 0};
  char uid[12], line[128];
  size_t length;
  setsockopt(bus, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(bus, (struct sockaddr *)&address, sizeof address) != 0)
    return -1;
  /* A zero, then the user in decimal, its digits in hexadecimal. */
  snprintf(uid, sizeof uid, "%u", (unsigned)getuid());
  length = 1 + snprintf(line + 1, sizeof line - 1, "AUTH EXTERNAL ");
  line[0] = '\0';
  for (const char *digit = uid; *digit != '\0'; digit++)
    length += snprintf(line + length, sizeof line - length, "%02x", (unsigned)*digit);
  length += snprintf(line + length, sizeof line - length, "\r\n");
  if (send(bus, line, length, MSG_NOSIGNAL) < 0)
    return -1;
  for (length = 0; length < sizeof line - 1 && (length == 0 || line[length - 1] != '\n'); length++)
    if (read_all((unsigned char *)line + length, 1) != 0)
      return -1;
  if (strncmp(line, "OK ", 3) != 0 || send(bus, "BEGIN\r\n", 7, MSG_NOSIGNAL) < 0)
    return -1;
  if (do_call(BUS, "Hello", "", &none) != 0)
    return -1;
  /* All resources of app.yaml. */
  put_string(&all, "");
  return do_call(CLOUD, "Register", "s", &all);
}

int cloud_set(const char *path, double value) {
  struct bytes body = {.length = 0};
  put_string(&body, path);
  put_signature(&body, "d");
  put(&body, &value, 8, 8);
  int greeted = bus >= 0;
  if (!greeted) {
    bus = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    greeted = greet() == 0;
  }
  if (greeted && do_call(CLOUD, "Set", "sv", &body) == 0)
    return 0;
  close(bus);
  bus = -1;
  return -1;
}
