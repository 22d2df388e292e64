// SPDX-License-Identifier: Apache-2.0
#include "cloud.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *last = "/data/last";

static volatile sig_atomic_t ended;

static void end(int number) {
  (void)number;
  ended = 1;
}

/* Healthy is who wrote a value in the last minute. */
static int check(void) {
  struct stat info;
  return stat(last, &info) != 0 || time(NULL) - info.st_mtime > 60;
}

static void measure(void) {
  double load;
  FILE *in = fopen("/proc/loadavg", "r");
  if (in == NULL || fscanf(in, "%lf", &load) != 1)
    load = 0;
  if (in != NULL)
    fclose(in);
  FILE *out = fopen(last, "w");
  if (out != NULL) {
    fprintf(out, "%.2f\n", load);
    fclose(out);
  }
  /* It shows in `mbl device watch`; where the device is not ready for it, the next one will. */
  int told = cloud_set("/3300/0/5700", load);
  printf("load %.2f%s\n", load, told == 0 ? "" : ", not told");
  fflush(stdout);
}

int main(int count, char **words) {
  if (count > 1 && strcmp(words[1], "--check") == 0)
    return check();
  /* The first process of an app is not ended by a signal that it has no handler for. */
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGTERM, &action, NULL);
  while (!ended) {
    measure();
    sleep(10);
  }
  return 0;
}
