/* What systemd wants to hear (sd_notify(3)), without its library: a datagram to the socket that NOTIFY_SOCKET
 * names; nothing when there is none. */
#ifndef CTL_NOTIFY_H
#define CTL_NOTIFY_H

void notify_ready(void);
void notify_reloading(void); /* then notify_ready() again */
void notify_stopping(void);

#endif
