--! Previous: -
--! Hash: sha1:8b2e711d73ea78f1f7f13577ae45c0b40b59bc84
--! Message: items

create table items (id int);
