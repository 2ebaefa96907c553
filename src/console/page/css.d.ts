/** The bundler puts an imported style sheet into that of the console. */
declare module '*.css'
