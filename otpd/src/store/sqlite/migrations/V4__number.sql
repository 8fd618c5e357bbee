-- Somebody at a number asks for an end to messages: whose number it is.
CREATE INDEX enrollment_number ON enrollment (number_index);
