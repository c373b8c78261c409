"use strict";
/* The service weir.test.Echo of grpc_server.py: messages are plain bytes. */
const same = (bytes) => bytes;

function method(name, requestStream, responseStream) {
  return {
    path: `/weir.test.Echo/${name}`,
    requestStream,
    responseStream,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}

const definition = {};
for (const name of ["Unary", "Fail", "Meta", "Big", "Hang", "Calls"])
  definition[name] = method(name, false, false);
for (const name of ["ServerStream", "Slow"]) definition[name] = method(name, false, true);
definition.ClientStream = method("ClientStream", true, false);
definition.Bidi = method("Bidi", true, true);

/* No message is too large. */
const options = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

module.exports = { definition, options };
