// SPDX-License-Identifier: Apache-2.0
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

static void end(int number) {
  (void)number;
  ended = 1;
}

int main(void) {
  const char *interval = getenv("INTERVAL");
  /* The first process of an app is not ended by a signal that it has no handler for. */
  struct sigaction action = {.sa_handler = end};
  sigaction(SIGINT, &action, NULL);
  while (!ended) {
    char text[32];
    time_t now = time(NULL);
    strftime(text, sizeof text, "%FT%TZ", gmtime(&now));
    puts(text);
    fflush(stdout);
    sleep(interval == NULL ? 60 : atoi(interval));
  }
  return 0;
}
